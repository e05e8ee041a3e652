// One step of the browser's history for each action of the reader, so that Back returns to what was left.
//
// Streamlit makes a step of every address that a run writes: a page that is opened by a run would make two (the
// old page with the new query, then the new page), and a part of a link that is dropped another. After Back and
// Forward nothing may make a step: it would erase what lies ahead.
let steps = 0;

// An address without the parts whose change is no other place: what is kept, not where the reader is.
function place(url, kept) {
  const address = new URL(url ?? "", window.location.href);
  for (const name of kept) address.searchParams.delete(name);
  return address.href;
}

function install(kept) {
  const { history } = window;
  const [push, replace] = [history.pushState, history.replaceState];
  const begin = () => (steps = 1);
  for (const action of ["pointerdown", "keydown", "click"]) window.addEventListener(action, begin, true);
  window.addEventListener("popstate", () => (steps = 0), true);
  history.pushState = function (state, title, url) {
    const isStep = steps > 0 && place(url, kept) !== place(undefined, kept);
    if (isStep) steps = 0;
    return (isStep ? push : replace).call(this, state, title, url);
  };
}

export default function ({ data }) {
  if (window.history.hasOneStepPerAction) return; // once, also where this file is loaded again
  window.history.hasOneStepPerAction = true;
  install(data.kept);
}
