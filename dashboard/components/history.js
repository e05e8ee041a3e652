// One step of the browser's history for each action of the reader, so that Back returns to what was left.
//
// Streamlit makes a step of every address that a run writes: a page that is opened by a run would make two (the
// old page with the new query, then the new page), and a part of a link that is dropped another. After Back and
// Forward nothing may make a step: it would erase what lies ahead.
let steps = 0;

// Whether an address is another place than the one that is shown. What is only kept there is no place, and the
// study, which the first run adds, is the one that was shown.
function isElsewhere(url, kept) {
  const [here, there] = [new URL(window.location.href), new URL(url ?? "", window.location.href)];
  const study = here.searchParams.has("study") ? [] : ["study"];
  for (const name of [...kept, ...study]) for (const one of [here, there]) one.searchParams.delete(name);
  return here.href !== there.href;
}

function oneStepPerAction(kept) {
  const { history } = window;
  const [push, replace] = [history.pushState, history.replaceState];
  const begin = ({ type, target }) => {
    if (type !== "change" || target.type === "file") steps = 1; // the change of a field follows its keys
  };
  const actions = ["pointerdown", "keydown", "click", "drop", "paste", "change"]; // a file comes by the last three
  for (const action of actions) window.addEventListener(action, begin, true);
  window.addEventListener("popstate", () => (steps = 0), true);
  history.pushState = function (state, title, url) {
    const isStep = steps > 0 && isElsewhere(url, kept);
    if (isStep) steps = 0;
    return (isStep ? push : replace).call(this, state, title, url);
  };
}
