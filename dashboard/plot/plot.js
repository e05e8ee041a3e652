// One instance of state per mounted chart; Streamlit calls the default export again on every rerun.
const instances = new WeakMap();
const SMALLEST = 150; // pixels
const EXPAND = {
  width: 24,
  height: 24,
  path: "M3 3h7v2H5v5H3zM14 3h7v7h-2V5h-5zM3 14h2v5h5v2H3zM19 14h2v7h-7v-2h5z",
};
let loading;

function plotly(address) {
  loading ??= new Promise((done, failed) => {
    if (window.Plotly) return done(window.Plotly);
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => done(window.Plotly);
    script.onerror = () => {
      loading = undefined;
      failed(new Error("the chart library did not load"));
    };
    document.head.append(script);
  });
  return loading;
}

function toggleFullScreen(holder) {
  if (document.fullscreenElement) document.exitFullscreen();
  else holder.requestFullscreen?.();
}

function config(self) {
  return {
    displaylogo: false,
    displayModeBar: "hover",
    modeBarButtonsToRemove: ["lasso2d", "select2d"],
    modeBarButtonsToAdd: [
      { name: "Full screen", title: "Full screen", icon: EXPAND, click: () => toggleFullScreen(self.holder) },
    ],
    toImageButtonOptions: { format: "svg", filename: self.name, scale: 2 },
  };
}

// The figure's layout at the size that the page has for it. A width of its own, as print has, is kept.
function sized(self, layout) {
  const full = document.fullscreenElement === self.holder;
  const width = Math.max(self.holder.clientWidth - (full ? 32 : 0), SMALLEST);
  return { width, ...layout, ...(full ? { width, height: window.innerHeight - 32 } : {}) };
}

function point(one) {
  const { x, y, customdata } = one;
  return { x, y, customdata: ArrayBuffer.isView(customdata) ? Array.from(customdata) : customdata };
}

function listen(self) {
  if (self.listening || !self.clickable) return;
  self.listening = true;
  self.drawing.on("plotly_click", (event) => self.emit("clicked", event.points.map(point)));
}

async function draw(self) {
  const library = await plotly(self.library);
  const width = self.holder.clientWidth;
  if (self.gone || !width) return;
  const full = document.fullscreenElement === self.holder;
  const wanted = `${width} ${full} ${self.figure}`;
  if (self.drawn === wanted) return;
  self.drawn = wanted;
  const { data, layout } = JSON.parse(self.figure);
  await library.react(self.drawing, data, sized(self, layout), config(self));
  listen(self);
  self.holder.dataset.drawn = "yes";
}

function say(self, error) {
  const line = document.createElement("p");
  line.className = "peregrine-failed";
  line.textContent = `This chart could not be drawn: ${error.message}.`;
  self.drawing.replaceChildren(line);
}

// One drawing after another: plotly does not bear two at once on the same element.
function ask(self) {
  if (!self.near) return;
  self.busy = self.busy.then(() => draw(self)).catch((error) => say(self, error));
}

// Charts out of sight wait until the page has come to rest.
function whenIdle(self) {
  const idle = window.requestIdleCallback ?? ((task) => setTimeout(task, 200));
  self.timer = setTimeout(() => idle(() => approach(self)), 400);
}

function approach(self) {
  if (self.near || self.gone) return;
  self.near = true;
  ask(self);
}

function start(parentElement) {
  const holder = parentElement.querySelector(".peregrine-plot");
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
  if (self.drawn) window.Plotly?.purge(self.drawing);
}

export default function ({ data, parentElement, setTriggerValue }) {
  let self = instances.get(parentElement);
  if (!self) instances.set(parentElement, (self = start(parentElement)));
  Object.assign(self, data, { emit: setTriggerValue });
  if (!document.fullscreenElement) self.holder.style.height = `${data.height}px`;
  self.holder.setAttribute("aria-label", data.alt);
  self.holder.classList.toggle("clickable", data.clickable);
  ask(self);
  return () => {
    stop(self);
    instances.delete(parentElement);
  };
}
