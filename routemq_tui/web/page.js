// Keys go to the screen without a click first, once it is there to be told of the focus.
"use strict";
const started = new MutationObserver(() => {
  if (document.body.classList.contains("-first-byte")) {
    started.disconnect();
    document.querySelector(".xterm-helper-textarea").focus();
  }
});
document.addEventListener("DOMContentLoaded", () => {
  started.observe(document.body, { attributes: true, attributeFilter: ["class"] });
});
