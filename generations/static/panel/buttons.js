// The buttons that print a page (`data-print`), those that copy the text of an element (`data-copy`), and the forms that
// are sent as soon as another value is chosen (`data-choose`): their button is for browsers without scripts.
"use strict";

const copy = async (element) => {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  }
  window.getSelection().selectAllChildren(element); // over plain http a browser has no clipboard
  return document.execCommand("copy");
};

document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
  for (const form of document.querySelectorAll("[data-choose]")) {
    form.querySelector("button").hidden = true;
    form.querySelector("select").addEventListener("change", () => form.requestSubmit());
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    const state = document.getElementById("copied");
    button.hidden = false;
    button.addEventListener("click", async () => {
      const copied = await copy(document.getElementById(button.dataset.copy)).catch(() => false);
      state.textContent = copied ? "Copied." : "Not copied: select the text and copy it.";
    });
  }
});
