function makeView() {
  const figure = element("figure", "view");
  const image = document.createElement("img");
  image.draggable = false;
  figure.append(image, element("figcaption", ""));
  return figure;
}

function show(figure, src, alt, caption) {
  const [image, words] = figure.children;
  if (image.getAttribute("src") !== src) image.src = src;
  image.alt = alt;
  if (words.textContent !== caption) words.textContent = caption;
}

function makeSwitch({ id, title, note, off }) {
  const button = element("button", "switch");
  button.dataset.id = id;
  button.setAttribute("role", "switch");
  button.setAttribute("aria-checked", String(!off));
  button.setAttribute("aria-label", `${title} ${note}`);
  button.title = off ? "Switch this feature on again" : "Switch this feature off";
  return button;
}

function makeRow(row) {
  const { id, title, note, href, push, text, marked, off } = row;
  const item = element("li", off ? "item off" : "item");
  if (off !== null) item.append(makeSwitch(row));
  const link = element("a", marked ? "row marked" : "row");
  link.dataset.id = id;
  if (href) link.setAttribute("href", href);
  const words = element("span", "words", title);
  words.title = `${title} ${note}`;
  words.append(element("span", "note", note));
  link.append(words);
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

function overlayOf(self) {
  return self.data.overlay ? self.views.lastElementChild : null;
}

function rest(self) {
  const { data } = self;
  const overlay = overlayOf(self);
  if (overlay) show(overlay, data.overlay, `Heatmap of ${data.name}`, data.said);
}

function look(self, id) {
  const row = self.data.rows.find((one) => one.id === id);
  const overlay = overlayOf(self);
  if (!row || !overlay) return;
  if (row.src) show(overlay, row.src, `Where ${row.title} ${row.note} looks`, `Where ${row.title} ${row.note} looks`);
  else show(overlay, self.data.overlay, `Heatmap of ${self.data.name}`, `${row.title} ${row.note}: its heatmap is not stored`);
}

function draw(self) {
  const { data } = self;
  const sources = [data.picture, data.overlay].filter(Boolean);
  while (self.views.children.length > sources.length) self.views.lastChild.remove();
  while (self.views.children.length < sources.length) self.views.append(makeView());
  if (data.picture) show(self.views.children[0], data.picture, data.name, "");
  rest(self);
  const [left, right] = data.ends;
  self.ends.replaceChildren(...(left ? [element("span", "", left), element("span", "", right)] : []));
  const content = JSON.stringify(data.rows);
  if (self.shown !== content) { // rows that are built again lose the focus
    self.shown = content;
    const at = self.rows.getRootNode().activeElement?.closest?.(".switch")?.dataset.id;
    self.rows.replaceChildren(...data.rows.map(makeRow));
    if (at) self.rows.querySelector(`.switch[data-id="${CSS.escape(at)}"]`)?.focus();
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
  self.views = parentElement.querySelector(".views");
  self.ends = parentElement.querySelector(".ends");
  self.rows = parentElement.querySelector(".rows");
  self.data = data;
  self.emit = setTriggerValue;
  const at = (event) => event.target.closest(".row, .switch")?.dataset.id;
  self.rows.onmouseover = (event) => at(event) && look(self, at(event));
  self.rows.onmouseleave = () => rest(self);
  if (!self.listens) {
    self.listens = true; // there is no property for these two
    self.rows.addEventListener("focusin", (event) => at(event) && look(self, at(event)));
    self.rows.addEventListener("focusout", () => rest(self));
  }
  self.rows.onclick = (event) => onClick(self, event);
  draw(self);
  return () => instances.delete(parentElement);
}
