// The dashboard, read again every few seconds while somebody looks at it. The request says that nobody asked for it, so
// that a screen left alone is logged out all the same.
(() => {
  const dashboard = document.getElementById("dashboard");
  const button = document.getElementById("refresh");
  const trouble = document.getElementById("refresh-trouble");
  const every = Number(dashboard.dataset.every) * 1000;
  let paused = false;

  const redraw = (page) => {
    for (const shown of dashboard.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(shown.id);
      if (fresh) shown.replaceChildren(...fresh.childNodes);
    }
    for (const canvas of dashboard.querySelectorAll("canvas.chart")) {
      const fresh = page.getElementById(canvas.id);
      const chart = window.Chart && window.Chart.getChart(canvas);
      if (!fresh || !chart) continue;
      const value = JSON.parse(fresh.dataset.value);
      chart.data.labels = value.labels;
      value.datasets.forEach((line, place) => { chart.data.datasets[place].data = line.data; });
      chart.update();
    }
  };

  const refresh = async () => {
    if (paused || document.hidden) return;
    try {
      const answer = await fetch(window.location.pathname, { headers: { "X-Refresh": "1" }, credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok || !page.getElementById("dashboard")) {
        trouble.textContent = answer.redirected ? "You were logged out: load the page again." : `Not refreshed: HTTP ${answer.status}.`;
        return;
      }
      redraw(page);
      trouble.textContent = "";
    } catch (error) {
      trouble.textContent = "Not refreshed: the service does not answer.";
    }
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on refreshing" : "Pause refreshing";
    if (!paused) refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  window.setInterval(refresh, every);
})();
