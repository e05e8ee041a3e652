// What is on the figure sheets, by study, outlives a reload: this tab of the browser keeps it, and tells a session
// that does not know it yet.
const SHEETS = "peregrine-sheets";

function keepSheets(sheets, tell = () => {}) {
  try {
    const before = JSON.parse(window.sessionStorage.getItem(SHEETS)) ?? {};
    window.sessionStorage.setItem(SHEETS, JSON.stringify({ ...before, ...sheets }));
    const lost = Object.entries(before).filter(([study, text]) => text && !(study in sheets));
    if (lost.length) tell(Object.fromEntries(lost));
  } catch {
    // a browser that keeps nothing
  }
}
