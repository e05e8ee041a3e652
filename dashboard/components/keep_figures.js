// My figures outlive a reload: this tab of the browser keeps the name of their folder, and tells a session that
// knows none.
const FIGURES = "peregrine-figures";

function keepFigures(name, tell = () => {}) {
  try {
    const before = window.sessionStorage.getItem(FIGURES);
    if (name) window.sessionStorage.setItem(FIGURES, name);
    else if (before) tell(before);
  } catch {
    // a browser that keeps nothing
  }
}
