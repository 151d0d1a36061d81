// Sets the scheme before anything is painted: the system's, unless another was chosen here.
"use strict";
(() => {
  const chosen = localStorage.getItem("orobserve.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
