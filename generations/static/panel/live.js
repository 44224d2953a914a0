// Refreshes the parts of a page that have `data-live`, every `data-every` seconds while the page is visible. The header
// X-Refresh marks the request as automatic, so that an unattended screen is still logged out. A page that is live no
// more, such as that of a generation that has finished, is loaded whole.
(() => {
  const live = document.querySelector("[data-every]");
  const button = document.getElementById("refresh");
  const errorText = document.getElementById("refresh-error");
  const every = Number(live.dataset.every) * 1000;
  let paused = false;

  const redraw = (page) => {
    for (const element of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(element.id);
      if (fresh) element.replaceChildren(...fresh.childNodes);
    }
    for (const canvas of document.querySelectorAll("canvas.chart")) {
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
      const address = window.location.pathname + window.location.search;
      const response = await fetch(address, { headers: { "X-Refresh": "1" }, credentials: "same-origin" });
      if (!response.ok || response.redirected) {
        errorText.textContent = response.redirected ? "You were logged out. Reload the page." : `Not refreshed: HTTP ${response.status}.`;
        return;
      }
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (!page.getElementById(live.id)) {
        window.location.reload();
        return;
      }
      redraw(page);
      errorText.textContent = "";
    } catch (error) {
      errorText.textContent = "Not refreshed: the service does not respond.";
    }
  };

  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Resume refreshing" : "Pause refreshing";
      if (!paused) refresh();
    });
  }
  document.addEventListener("visibilitychange", refresh);
  window.setInterval(refresh, every);
})();
