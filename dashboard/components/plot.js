// Drawings of charts that left the page, by what they show. A reader who comes back to a view gets them as they
// were, at once: drawing one anew takes plotly a tenth of a second and more.
const shelf = new Map();
const MOST_SHELVED = 24;
const MOST_WITH_WEBGL = 2; // browsers take away the oldest of 16 WebGL contexts, and plotly uses three a chart
const SMALLEST = 150; // pixels
const LARGEST_SCALE = 1.7; // of pictures on a wide page
const EXPAND = {
  width: 24,
  height: 24,
  path: "M3 3h7v2H5v5H3zM14 3h7v7h-2V5h-5zM3 14h2v5h5v2H3zM19 14h2v7h-7v-2h5z",
};

function toggleFullScreen(holder) {
  if (document.fullscreenElement) document.exitFullscreen();
  else holder.requestFullscreen?.();
}

// The owner of a drawing changes when it comes back from the shelf, so nothing in it may hold on to `self`.
function config({ drawing }) {
  return {
    displaylogo: false,
    displayModeBar: "hover",
    showSendToCloud: false, // nothing leaves the machine
    // The chart's own menu saves it; dragging zooms, and Shift pans. Few buttons leave the legend readable.
    modeBarButtonsToRemove: [
      "autoScale2d", "lasso2d", "pan2d", "select2d", "toImage", "zoom2d", "zoomIn2d", "zoomOut2d",
    ],
    showTips: false,
    modeBarButtonsToAdd: [
      {
        name: "Full screen",
        title: "Full screen",
        icon: EXPAND,
        click: () => toggleFullScreen(drawing.parentElement),
      },
    ],
  };
}

// Pictures grow with the page, so their chart is as much higher as the page is wider than it was meant for.
function heightOf({ holder, height, width }) {
  return width ? Math.round(height * Math.min(holder.clientWidth / width, LARGEST_SCALE)) : height;
}

// The figure's layout at the size that the page has for it. A width of its own, as print has, is kept.
function sized(self, layout) {
  const full = document.fullscreenElement === self.holder;
  const width = Math.max(self.holder.clientWidth - (full ? 32 : 0), SMALLEST);
  const tall = self.width ? { height: heightOf(self) } : {};
  return { width, ...layout, ...tall, ...(full ? { width, height: window.innerHeight - 32 } : {}) };
}

function point(one) {
  const { x, y, customdata } = one;
  return { x, y, customdata: ArrayBuffer.isView(customdata) ? Array.from(customdata) : customdata };
}

function listen({ drawing }) {
  if (drawing.listening) return;
  drawing.listening = true;
  drawing.on("plotly_click", (event) => {
    const { clickable, emit } = drawing.owner;
    if (clickable) emit("clicked", event.points.map(point));
  });
}

// Everything that a drawing depends on; null while the page has no room for it.
function contentOf(self) {
  const width = self.holder.clientWidth;
  const full = document.fullscreenElement === self.holder;
  return self.gone || !width ? null : `${self.name} ${width} ${full} ${self.figure}`;
}

function takeFromShelf(self, what) {
  const drawing = shelf.get(what);
  if (!drawing) return false;
  shelf.delete(what);
  if (self.shown) window.Plotly.purge(self.drawing);
  self.drawing.replaceWith(drawing);
  self.drawing = drawing;
  return true;
}

function putOnShelf(self) {
  self.drawing.replaceWith(document.createElement("div")); // Streamlit may mount the same element again
  delete self.holder.dataset.drawn;
  shelf.set(self.shown, self.drawing);
  const withWebgl = [...shelf].filter(([, drawing]) => drawing.querySelector(".gl-canvas"));
  clear(withWebgl, MOST_WITH_WEBGL);
  clear([...shelf], MOST_SHELVED);
}

// Only the newest stay.
function clear(drawings, most) {
  for (const [what, drawing] of drawings.slice(0, Math.max(0, drawings.length - most))) {
    shelf.delete(what);
    window.Plotly.purge(drawing);
  }
}

async function draw(self) {
  const library = await plotly(self.library);
  const what = contentOf(self);
  if (!what || self.shown === what) return;
  if (!takeFromShelf(self, what)) {
    self.shown = null; // until it is drawn: a reader who leaves now shall not find half a chart
    const { data, layout } = JSON.parse(self.figure);
    fit(self);
    self.drawing.querySelector(".peregrine-failed")?.remove();
    await library.react(self.drawing, data, sized(self, layout), config(self));
    if (self.gone) return library.purge(self.drawing); // the reader left while plotly was drawing
  }
  self.shown = what;
  self.drawing.owner = self;
  listen(self);
  self.holder.dataset.drawn = "yes";
}

function fit(self) {
  if (!document.fullscreenElement) self.holder.style.height = `${heightOf(self)}px`;
}

// Nothing is left of a drawing that plotly began: the next one begins anew.
function say(self, error) {
  self.shown = null;
  window.Plotly?.purge(self.drawing);
  self.drawing.listening = false;
  self.drawing.replaceChildren(element("p", "peregrine-failed", `This chart could not be drawn: ${error.message}.`));
}

// One drawing after another: plotly does not bear two at once on the same element.
function ask(self) {
  if (!self.near && !shelf.has(contentOf(self))) return;
  self.busy = self.busy.then(() => draw(self)).catch((error) => say(self, error));
}

// Charts out of sight wait until the page has come to rest.
function whenIdle(self) {
  const idle = window.requestIdleCallback ?? ((task) => setTimeout(task, 200));
  self.timer = setTimeout(() => idle(() => approach(self), { timeout: 1000 }), 400);
}

function approach(self) {
  if (self.near || self.gone) return;
  self.near = true;
  ask(self);
}

function start(parentElement) {
  const holder = parentElement.querySelector(".peregrine-plot");
  // Near the window: a chart is drawn before the reader has scrolled to it.
  const self = { holder, drawing: holder.firstElementChild, busy: Promise.resolve(), near: false };
  const root = holder.closest("[data-testid=stMain]");
  self.sight = new IntersectionObserver(
    (entries) => entries.some((entry) => entry.isIntersecting) && approach(self),
    { root, rootMargin: "100px" },
  );
  self.sight.observe(holder);
  self.size = new ResizeObserver(() => ask(self));
  self.size.observe(holder);
  whenIdle(self);
  return self;
}

function stop(self) {
  self.gone = true;
  clearTimeout(self.timer);
  self.sight.disconnect();
  self.size.disconnect();
  if (self.shown) putOnShelf(self);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const self = mounted(parentElement, start);
  Object.assign(self, data, { emit: setTriggerValue });
  fit(self);
  self.holder.setAttribute("aria-label", data.alt);
  self.holder.classList.toggle("clickable", data.clickable);
  ask(self);
  return () => {
    stop(self);
    instances.delete(parentElement);
  };
}
