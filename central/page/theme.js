/* Before anything is drawn: the colours a person chose here, else those of the system. */
{
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("theme") ?? "auto";
  } catch {
    /* A browser may forbid storage; then the choice holds until the page is left. */
  }
  document.documentElement.dataset.theme = ["light", "dark"].includes(chosen) ? chosen : "auto";
}
