// What a keyboard and a screen reader need, and unfold's pages do not have: a link that skips the sidebar, landmarks, and
// buttons where only a click was thought of.
"use strict";

const OPERABLE = "a[href], button, input, select, textarea, summary";

const addSkipLink = (content) => {
  const link = document.createElement("a");
  link.className = "panel-skip";
  link.href = "#content";
  link.textContent = "Skip to content";
  link.addEventListener("click", () => content.focus());
  document.body.prepend(link);
};

const addLandmarks = (content) => {
  content.setAttribute("role", "main");
  content.tabIndex = -1; // so that the link can move the focus there
  document.querySelector("#main > div")?.setAttribute("role", "banner");
  document.getElementById("nav-sidebar-inner")?.setAttribute("aria-label", "Pages");
  const filters = document.getElementById("changelist-filter");
  filters?.setAttribute("role", "region");
  filters?.setAttribute("aria-label", "Filters");
};

const makeButton = (element) => {
  element.tabIndex = 0;
  element.setAttribute("role", "button");
  element.addEventListener("keydown", (event) => {
    if (event.target !== element || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    element.click();
  });
};

document.addEventListener("DOMContentLoaded", () => {
  const content = document.getElementById("content");
  if (!content) return; // a page without a sidebar, such as the login
  addSkipLink(content);
  addLandmarks(content);
  for (const element of document.querySelectorAll("[x-on\\:click]")) {
    if (!element.matches(OPERABLE) && element.id !== "changelist-filter-close") makeButton(element);
  }
});
