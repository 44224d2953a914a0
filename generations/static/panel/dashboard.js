// Refreshes the dashboard every few seconds while the page is visible. The header X-Refresh marks the request as
// automatic, so that an unattended screen is still logged out.
(() => {
  const dashboard = document.getElementById("dashboard");
  const button = document.getElementById("refresh");
  const errorText = document.getElementById("refresh-error");
  const every = Number(dashboard.dataset.every) * 1000;
  let paused = false;

  const redraw = (page) => {
    for (const element of dashboard.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(element.id);
      if (fresh) element.replaceChildren(...fresh.childNodes);
    }
    for (const canvas of dashboard.querySelectorAll("canvas.chart")) {
      const fresh = page.getElementById(canvas.id);
      const chart = window.Chart && window.Chart.getChart(canvas);
      if (!fresh || !chart) continue;
      const value = JSON.parse(fresh.dataset.value);
      chart.data.labels = value.labels;
      value.datasets.forEach((series, index) => { chart.data.datasets[index].data = series.data; });
      chart.update();
    }
  };

  const refresh = async () => {
    if (paused || document.hidden) return;
    try {
      const response = await fetch(window.location.pathname, { headers: { "X-Refresh": "1" }, credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (!response.ok || !page.getElementById("dashboard")) {
        errorText.textContent = response.redirected ? "You were logged out. Reload the page." : `Not refreshed: HTTP ${response.status}.`;
        return;
      }
      redraw(page);
      errorText.textContent = "";
    } catch (error) {
      errorText.textContent = "Not refreshed: the service does not respond.";
    }
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Resume refreshing" : "Pause refreshing";
    if (!paused) refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  window.setInterval(refresh, every);
})();
