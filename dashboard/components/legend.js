// What is written on and below the map: the legend, which is a filter, and the words at clusters. scatter.js
// comes after this file, and both are one script.
const MOST_ENTRIES = 60; // of the legend; of more names, only those with a colour of their own are listed
const SQUARE = 8; // pixels; side of the squares in which points are counted
const AWAY = 12; // pixels away from its cluster for which a place must spare a point
const ASTRAY = 25; // points that a place must spare, if it is nearer to another cluster

// Whether a point shines: in the slice, found if there was a search, and of the entry that is pointed at.
function isLit(self, i) {
  if (self.pointed >= 0) return self.values[i] === self.pointed;
  return self.inside[i] && (!self.found.length || self.foundRows.has(self.rows[i]));
}

function setFound(self, found) {
  self.found = found;
  self.foundRows = new Set(found.map(([row]) => row));
  self.stage.dataset.found = found.length;
}

function setPressed(self, pressed, filters) {
  const changed = self.filters !== filters || self.pressed.join("\n") !== pressed.join("\n");
  Object.assign(self, { pressed, filters });
  if (changed && self.names) drawLegend(self);
}

function point(self, at) {
  if (self.pointed === at) return;
  self.pointed = at;
  paintColours(self);
  render(self);
}

function drawLegend(self) {
  const few = self.names.length <= MOST_ENTRIES;
  const isListed = (name, at) => few || self.shades[at] !== self.shared || self.pressed.includes(name);
  const parts = self.names.map((name, at) => isListed(name, at) && entry(self, name, at)).filter(Boolean);
  if (parts.length < self.names.length) {
    const n = self.names.length - parts.length;
    parts.push(element("span", "", `and ${n} more in grey; the filter above holds them`));
  }
  if (self.scale) {
    const item = element("span", "item"), bar = element("span", "bar");
    bar.style.background = `linear-gradient(to right, ${self.palette.slice(1).join(",")})`;
    item.append(self.scale[0].toPrecision(3), bar, self.scale[1].toPrecision(3));
    parts.push(item);
  }
  const focused = self.legend.getRootNode().activeElement?.dataset?.name;
  self.legend.replaceChildren(element("span", "title", self.title), ...parts);
  if (focused !== undefined) parts.find((part) => part.dataset.name === focused)?.focus();
  point(self, -1); // an entry that only has the focus back is not pointed at
}

function entry(self, name, at) {
  const filters = self.filters && name !== self.missing;
  const item = element(filters ? "button" : "span", "item");
  item.dataset.name = name;
  const dot = element("span", "dot");
  dot.style.background = self.palette[self.shades[at]];
  dot.dataset.shape = self.shapes[self.shades[at]] ?? 0;
  const shown = self.shown[at];
  item.append(dot, shown);
  // Not "enter": a legend that moves below a pointer at rest shall light nothing up.
  item.onpointermove = item.onfocus = () => point(self, at);
  item.onpointerleave = item.onblur = () => point(self, -1);
  if (filters) {
    const on = self.pressed.includes(name);
    item.setAttribute("aria-pressed", String(on));
    item.title = on ? `Take ${shown} out of the filter` : `Show only ${shown}`;
    item.classList.toggle("off", self.pressed.length > 0 && !on);
    item.onclick = () => {
      point(self, -1);
      self.emit("legend", name);
    };
  }
  return item;
}

function setClusters(self, clusters) {
  const text = JSON.stringify(clusters);
  if (text === self.clusterText) return;
  self.clusterText = text;
  self.clusters = clusters;
  self.words.replaceChildren(
    ...clusters.map(({ words, reason }) => {
      const label = element("span", "", words);
      label.title = reason;
      return label;
    }),
  );
  self.sizes = null;
  self.root.querySelector("[data-do=words]").hidden = !clusters.length;
  if (self.view) render(self, { marksOnly: true });
}

function toggleWords(self, button) {
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(shown));
  self.words.hidden = !shown;
  render(self, { marksOnly: true });
  laterPictures(self);
}

// How many points lie in each small square of the stage, as it is seen now.
function crowdOf(self) {
  const { view, width, height, stretch, xy } = self;
  const seen = [view.x, view.y, view.scale, stretch, width, height].join();
  if (self.crowd?.seen === seen && self.crowd.xy === xy) return self.crowd;
  const wide = Math.ceil(width / SQUARE);
  const tall = Math.ceil(height / SQUARE);
  const counts = new Uint32Array(wide * tall);
  for (let i = 0; i < xy.length; i += 2) {
    const [x, y] = onScreen(self, xy[i], xy[i + 1]);
    if (x >= 0 && y >= 0 && x < width && y < height) counts[Math.floor(y / SQUARE) * wide + Math.floor(x / SQUARE)]++;
  }
  self.crowd = { seen, xy, wide, tall, counts };
  return self.crowd;
}

function pointsBelow({ wide, tall, counts }, [left, top, right, bottom]) {
  let n = 0;
  const ends = (from, to, most) => [Math.max(0, Math.floor(from / SQUARE)), Math.min(most - 1, Math.floor(to / SQUARE))];
  const [x0, x1] = ends(left, right, wide);
  const [y0, y1] = ends(top, bottom, tall);
  for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) n += counts[y * wide + x];
  return n;
}

// Where the words of a cluster may stand: above it and below it, there also to the sides and further away.
function placesOf(left, above, below, wide, tall, gap) {
  const edges = [0, 1, 2].flatMap((away) => [above - tall * (1 + away) - gap, below + tall * away + gap]);
  return edges.flatMap((edge) =>
    [0, -0.5, 0.5, -1, 1].map((side) => [left + (side - 0.5) * wide, edge, left + (side + 0.5) * wide, edge + tall]));
}

// The words of larger clusters come first, each where it covers the fewest points; those that would lie over
// others are not shown until one zooms in.
function placeWords(self) {
  self.wordBoxes = [];
  if (!self.view || self.words.hidden || !self.clusters.length || !self.xy) return;
  const labels = [...self.words.children];
  self.sizes ??= labels.map((label) => [label.offsetWidth, label.offsetHeight]);
  const crowd = crowdOf(self);
  const taken = self.wordBoxes;
  const peaks = self.clusters.map(({ x, y }) => onScreen(self, x, y));
  const costOf = ([l, t, r, b], at) => {
    const far = peaks.map(([x, y]) => Math.hypot((l + r) / 2 - x, (t + b) / 2 - y));
    return far[at] / AWAY + (far.some((one) => one < far[at]) ? ASTRAY : 0);
  };
  self.clusters.forEach(({ x, top, bottom }, at) => {
    const [wide, tall] = self.sizes[at];
    const [left, above] = onScreen(self, x, top);
    const below = onScreen(self, x, bottom)[1];
    let box = null;
    let least = Infinity;
    for (const one of placesOf(left, above, below, wide, tall, self.dot)) {
      const [l, t, r, b] = one;
      if (l < 0 || r > self.width || t < TOOLS || b > self.height) continue;
      if (taken.some((other) => l < other[2] + 4 && r > other[0] - 4 && t < other[3] + 2 && b > other[1] - 2)) continue;
      const cost = pointsBelow(crowd, one) + costOf(one, at);
      if (cost < least) [box, least] = [one, cost];
    }
    labels[at].style.visibility = box ? "visible" : "hidden";
    if (!box) return;
    taken.push(box);
    labels[at].style.transform = `translate(${box[0]}px, ${box[1]}px)`;
  });
}
