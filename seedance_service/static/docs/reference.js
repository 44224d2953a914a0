"use strict";

// Completes what Swagger UI draws for those who use a keyboard or a screen reader: fields and buttons without a name,
// links inside of buttons, and blocks that scroll and cannot be reached. It draws again at each click, so this runs again.
(() => {
  const root = document.getElementById("swagger-ui");
  const NAMED = "[aria-label], [aria-labelledby], [placeholder]:not([placeholder=''])";

  const nameOf = (field) => {
    if (field.id === "servers") return "Server";
    if (field.classList.contains("examples-select-element")) return "Example";
    return field.closest("[data-param-name]")?.dataset.paramName ?? "Value";
  };

  const complete = () => {
    for (const field of root.querySelectorAll("select, textarea, input:not([type=hidden])")) {
      const hasLabel = [...(field.labels ?? [])].some((label) => label.textContent.replace(field.textContent, "").trim());
      if (!field.matches(NAMED) && !hasLabel) field.setAttribute("aria-label", nameOf(field));
    }
    for (const button of root.querySelectorAll(".close-modal")) button.setAttribute("aria-label", "Close");
    // The button around the link opens the operation, and writes the link's address into the location.
    for (const link of root.querySelectorAll("button a[href]")) link.removeAttribute("href");
    for (const block of root.querySelectorAll("pre, .table-container, .responses-inner, .model-box")) {
      if (block.scrollWidth > block.clientWidth || block.scrollHeight > block.clientHeight) block.tabIndex = 0;
    }
  };

  let isScheduled = false;
  const schedule = () => {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(() => {
      isScheduled = false;
      complete();
    });
  };
  new MutationObserver(schedule).observe(root, { childList: true, subtree: true });
  window.addEventListener("resize", schedule);
})();
