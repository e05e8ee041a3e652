// Put before the scripts of every component.
const instances = new WeakMap();

// The state of a mounted component, one each; Streamlit calls the default export again on every rerun.
function mounted(parentElement, start = () => ({})) {
  if (!instances.has(parentElement)) instances.set(parentElement, start(parentElement));
  return instances.get(parentElement);
}

// Keys of the browser, or of the system: Alt with an arrow goes back, Ctrl with + magnifies the page.
function isShortcut(event) {
  return event.altKey || event.ctrlKey || event.metaKey;
}

function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (tag === "button") node.type = "button";
  if (className) node.className = className;
  node.textContent = text ?? "";
  return node;
}

const HEAT_OF = "peregrine-heat-of"; // from a list of features to the pictures beside it
