// The "⋯" of a chart: files of it as it is drawn now (by plotly, here), files that the server makes (by hidden
// buttons, which come when the menu is first opened), and "To my figures".
const SHOWN = 8000; // milliseconds of a message
const PATIENCE = 15000; // for the hidden buttons
const COLOURS = ["font", "text-color", "background-color", "border-color", "primary-color", "link-color"]
  .map((name) => `--st-${name}`);
let hiding;
let typeface = "serif"; // of all that is printed, as last chosen

function chartOf(key) {
  return document.querySelector(`.st-key-${CSS.escape(key)} .js-plotly-plot`);
}

function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// The picture of an SVG that carries its font: Plotly's own has the browser's default one, which is wider.
async function pictureOf(svg, width, height, ground) {
  const picture = new Image(width, height);
  picture.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * width, 2 * height];
  const pen = canvas.getContext("2d");
  pen.fillStyle = ground;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

async function drawn(chart, format) {
  const { width, height, paper_bgcolor: ground } = chart._fullLayout;
  const options = { format: "svg", width, height, imageDataOnly: true };
  const svg = await portable(await window.Plotly.toImage(chart, options));
  return format === "png" ? pictureOf(svg, width, height, ground) : new Blob([svg], { type: "image/svg+xml" });
}

async function save(self, format) {
  const chart = chartOf(self.data.chart);
  if (!chart?._fullLayout || !window.Plotly) return say(self, "The chart is not drawn yet.");
  try {
    offer(await drawn(chart, format), `${self.data.file}.${format}`);
  } catch (error) {
    say(self, `The chart could not be saved: ${error.message}.`);
  }
}

const pause = () => new Promise((done) => setTimeout(done, 50));

// Click a hidden button once it is there; returns it.
async function press(self, name) {
  const until = Date.now() + PATIENCE;
  while (Date.now() < until) {
    const button = document.querySelector(`.st-key-${CSS.escape(name)} button`);
    if (button) {
      button.click();
      return button;
    }
    await pause();
  }
  say(self, "The server did not answer. Try again.");
  return null;
}

// A file that takes the server seconds, which are counted: the button is disabled while it is made.
async function draw(self, name, kind) {
  const began = Date.now();
  say(self, `Drawing the ${kind} …`);
  clearTimeout(hiding);
  const clock = element("span", "seconds");
  clock.setAttribute("aria-hidden", "true"); // screen readers hear of its begin and its end
  toast(self).append(clock);
  const button = await press(self, name);
  if (!button) return;
  do {
    clock.textContent = `${Math.round((Date.now() - began) / 1000)} s`;
    await pause();
  } while (button.isConnected && button.disabled);
  const problem = button.closest(".stDownloadButton")?.querySelector("[data-testid=stDownloadButtonError]");
  say(self, problem?.textContent || `The ${kind} is saved among your downloads.`);
}

// One message of all charts, above everything else on the page; it wears the page's colours.
function toast(self) {
  let shown = document.getElementById("peregrine-toast");
  if (!shown) {
    shown = element("div");
    shown.id = "peregrine-toast";
    shown.setAttribute("role", "status");
    document.body.append(shown);
  }
  const look = getComputedStyle(self.menu);
  for (const name of COLOURS) shown.style.setProperty(name, look.getPropertyValue(name));
  return shown;
}

function say(self, text, open = false) {
  clearTimeout(hiding);
  const shown = toast(self);
  shown.replaceChildren(element("span", "", text));
  if (open) {
    const button = element("button", "", "Open");
    button.setAttribute("aria-label", "Open my figures");
    button.onclick = () => {
      shown.replaceChildren();
      self.emit("go", true);
    };
    shown.append(button);
  }
  hiding = setTimeout(() => shown.replaceChildren(), SHOWN);
}

function items(self) {
  return [...self.menu.querySelectorAll("[role^=menuitem]")].filter((one) => !one.closest("[hidden]"));
}

function focus(self, place) {
  const all = items(self);
  all[(place + all.length) % all.length]?.focus({ preventScroll: false });
}

// Below the button, or above it where the page ends before the menu does; scrolled to where it fits nowhere.
function stand({ menu, button }) {
  menu.removeAttribute("data-above");
  const page = button.closest("[data-testid=stMain]")?.getBoundingClientRect();
  const at = button.getBoundingClientRect();
  const needed = menu.getBoundingClientRect().bottom - at.bottom;
  const below = Math.min(page?.bottom ?? innerHeight, innerHeight) - at.bottom;
  const above = at.top - Math.max(page?.top ?? 0, 0);
  menu.toggleAttribute("data-above", below < needed && above >= needed);
  menu.scrollIntoView({ block: "nearest" });
}

function open(self, place = 0) {
  self.menu.hidden = false;
  stand(self);
  self.button.setAttribute("aria-expanded", "true");
  if (!self.asked) {
    self.asked = true;
    self.emit("opened", true);
  }
  focus(self, place);
}

function close(self, back = true) {
  if (self.menu.hidden) return;
  self.menu.hidden = true;
  self.button.setAttribute("aria-expanded", "false");
  if (back) self.button.focus({ preventScroll: true });
}

function chooseType(self, type) {
  typeface = type;
  for (const one of self.menu.querySelectorAll("[data-type]")) {
    one.setAttribute("aria-checked", String(one.dataset.type === type));
  }
}

function act(self, item) {
  if (item.getAttribute("aria-disabled") === "true") return;
  if (item.dataset.type) return chooseType(self, item.dataset.type);
  close(self);
  const { chart } = self.data;
  const { format } = item.dataset;
  if (format && self.data.plotted) save(self, format);
  else if (format) draw(self, `${chart}_${format}`, format.toUpperCase());
  else if (item.dataset.column) draw(self, `${chart}_pdf_${item.dataset.column}_${typeface}`, "PDF");
  else if (item.dataset.csv) press(self, `${chart}_csv`);
  else mark(self);
}

// What is marked is drawn by the server, which takes seconds for many pictures: its answer replaces this. Another
// page would end that, and nothing be marked: a link that is clicked meanwhile is followed when the answer has come.
function mark(self) {
  say(self, "Adding to my figures …");
  clearTimeout(hiding);
  self.release?.();
  let link = null;
  const hold = (event) => {
    const clicked = event.target.closest?.("a[href]:not([download])");
    if (!clicked || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    link = clicked;
  };
  window.addEventListener("click", hold, true);
  self.release = () => {
    window.removeEventListener("click", hold, true);
    link?.click();
    link = null;
  };
  setTimeout(self.release, PATIENCE);
  self.emit("mark", typeface);
}

function walk(self, event) {
  if (isShortcut(event)) return;
  const all = items(self);
  const at = all.indexOf(document.activeElement);
  const steps = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: -1 };
  if (event.key in steps) focus(self, steps[event.key]);
  else if (event.key === "Escape") close(self);
  else if (event.key === "Tab") return close(self, false);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function start(parentElement) {
  const find = (what) => parentElement.querySelector(what);
  const self = { button: find(".more"), menu: find("[role=menu]") };
  toast(self); // screen readers tell changes of a place that they know
  self.button.onclick = () => (self.menu.hidden ? open(self) : close(self));
  self.button.onkeydown = (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    open(self, event.key === "ArrowDown" ? 0 : -1);
  };
  self.menu.onkeydown = (event) => walk(self, event);
  self.menu.onclick = (event) => {
    const item = event.target.closest("[role^=menuitem]");
    if (item) act(self, item);
  };
  self.outside = (event) => {
    if (!event.composedPath().includes(parentElement)) close(self, false);
  };
  document.addEventListener("pointerdown", self.outside, true);
  return self;
}

function show(self, { alt, problem, guest }) {
  const mark = self.menu.querySelector("[data-mark]");
  mark.hidden = mark.previousElementSibling.hidden = guest; // and the line above it
  self.button.setAttribute("aria-label", `Save, or to my figures: ${alt}`);
  self.menu.setAttribute("aria-label", alt);
  for (const one of self.menu.querySelectorAll("[data-column]")) {
    one.setAttribute("aria-disabled", String(Boolean(problem)));
    one.title = problem ?? "";
  }
  chooseType(self, typeface);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const before = instances.get(parentElement);
  const known = before?.data.said?.number ?? (before ? 0 : data.said?.number);
  const self = mounted(parentElement, start);
  Object.assign(self, { data, emit: setTriggerValue });
  show(self, data);
  if (data.said && data.said.number !== known) {
    say(self, data.said.text, true);
    keepFigures(data.said.figures); // a menu is drawn again alone, without what else tells the browser of them
    self.release?.();
  }
  return () => {
    self.release?.();
    document.removeEventListener("pointerdown", self.outside, true);
    instances.delete(parentElement);
  };
}
