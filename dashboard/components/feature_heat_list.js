function makeSwitch({ id, title, note, off }) {
  const button = element("button", "switch");
  button.dataset.id = id;
  button.setAttribute("role", "switch");
  button.setAttribute("aria-checked", String(!off));
  button.setAttribute("aria-label", `${title} ${note}`);
  button.title = off ? "Switch this feature on again" : "Switch this feature off";
  return button;
}

function makeExamples(sources) {
  const examples = element("span", "examples");
  examples.title = "What it looks at where it is strongest";
  for (const src of sources) {
    const image = document.createElement("img");
    Object.assign(image, { src, alt: "", loading: "lazy", draggable: false });
    examples.append(image);
  }
  return examples;
}

function makeRow(row) {
  const { id, title, note, href, push, text, marked, off, examples } = row;
  const item = element("li", off ? "item off" : "item");
  if (off !== null) item.append(makeSwitch(row));
  const link = element("a", marked ? "row marked" : "row");
  link.dataset.id = id;
  if (href) link.setAttribute("href", href);
  const words = element("span", "words", title);
  words.title = `${title} ${note}`;
  words.append(element("span", "note", note));
  link.append(words);
  if (examples.length) link.append(makeExamples(examples));
  if (push !== null) {
    const track = element("span", "track");
    const bar = element("span", push < 0 ? "push left" : "push");
    const width = Math.min(1, Math.abs(push)) * 50;
    bar.style.width = `${width}%`;
    bar.style.left = push < 0 ? `${50 - width}%` : "50%";
    track.append(bar);
    link.append(track);
  }
  link.append(element("span", "value", text));
  item.append(link);
  return item;
}

// Show in the pictures beside the list where a feature looks; without an id: the heatmap as a whole.
function look({ data }, id) {
  const row = data.rows.find((one) => one.id === id) ?? null;
  document.dispatchEvent(new CustomEvent(HEAT_OF, { detail: { views: data.views, row } }));
}

function draw(self) {
  const { data } = self;
  const [left, right] = data.ends;
  self.ends.replaceChildren(...(left ? [element("span", "", left), element("span", "", right)] : []));
  const content = JSON.stringify(data.rows);
  if (self.shown !== content) { // rows that are built again lose the focus
    self.shown = content;
    const at = self.rows.getRootNode().activeElement?.closest?.(".switch")?.dataset.id;
    self.rows.replaceChildren(...data.rows.map(makeRow));
    if (at) self.rows.querySelector(`.switch[data-id="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
  }
}

function onClick(self, event) {
  const button = event.target.closest(".switch");
  if (button) {
    button.setAttribute("aria-checked", String(button.getAttribute("aria-checked") !== "true")); // at once
    self.emit("switched", button.dataset.id);
    return;
  }
  const link = event.target.closest(".row");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // the browser's new tab
  event.preventDefault();
  self.emit("opened", link.dataset.id);
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const self = mounted(parentElement);
  self.ends = parentElement.querySelector(".ends");
  self.rows = parentElement.querySelector(".rows");
  self.data = data;
  self.emit = setTriggerValue;
  const at = (event) => event.target.closest(".row, .switch")?.dataset.id;
  self.rows.onmouseover = (event) => at(event) && look(self, at(event));
  self.rows.onmouseleave = () => look(self);
  if (!self.listens) {
    self.listens = true; // there is no property for these two
    self.rows.addEventListener("focusin", (event) => at(event) && look(self, at(event)));
    self.rows.addEventListener("focusout", () => look(self));
  }
  self.rows.onclick = (event) => onClick(self, event);
  draw(self);
  return () => instances.delete(parentElement);
}
