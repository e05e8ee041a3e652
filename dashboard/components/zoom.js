// Pictures that can be magnified: the wheel (after a click, or pinching), two fingers, buttons and keys; the
// pictures of one tile move together, so that an overlay stays on its original.
const MOST_ZOOM = 16;

function makeZoomable(frames, name) {
  if (frames.zoom) {
    if (frames.zoom.name !== name) frames.zoom.reset(); // another picture is shown now
    frames.zoom.name = name;
    return;
  }
  const zoom = (frames.zoom = { name, scale: 1, x: 0, y: 0, fingers: new Map() });
  frames.classList.add("zoomable");
  frames.tabIndex = 0;
  frames.setAttribute("role", "group");
  frames.setAttribute("aria-label", "Picture; plus and minus zoom, 0 shows all of it, arrows move it");
  frames.after(zoomButtons(frames));
  zoom.reset = () => moveTo(frames, 1, 0, 0);
  listenForZoom(frames, zoom);
}

function zoomButtons(frames) {
  const bar = element("span", "zooms");
  for (const [text, name, act] of [
    ["+", "Zoom in", () => zoomBy(frames, 1.5)],
    ["−", "Zoom out", () => zoomBy(frames, 1 / 1.5)],
    ["⤢", "Show all of it", () => frames.zoom.reset()],
  ]) {
    const button = element("button", "", text);
    button.title = name;
    button.setAttribute("aria-label", name);
    button.onclick = act;
    button.onpointerdown = (event) => event.stopPropagation();
    bar.append(button);
  }
  return bar;
}

// x and y are shares of a frame's side by which the picture's centre lies off the frame's centre.
function moveTo(frames, scale, x, y) {
  const far = Math.max(0, (scale - 1) / 2);
  const clamp = (value) => Math.max(-far, Math.min(far, value));
  Object.assign(frames.zoom, { scale, x: clamp(x), y: clamp(y) });
  const move = scale > 1 ? `translate(${100 * clamp(x)}%, ${100 * clamp(y)}%) scale(${scale})` : "";
  for (const image of frames.querySelectorAll("img")) image.style.transform = move;
  frames.classList.toggle("zoomed", scale > 1);
  frames.dataset.zoom = scale.toFixed(2);
}

function zoomBy(frames, factor, at = [0, 0]) {
  const { scale, x, y } = frames.zoom;
  const next = Math.max(1, Math.min(MOST_ZOOM, scale * factor));
  const grown = next / scale;
  moveTo(frames, next, at[0] - (at[0] - x) * grown, at[1] - (at[1] - y) * grown);
}

// Where a pointer lies in the frame under it, from its centre, as shares of its side.
function inFrame(frames, event) {
  const all = [...frames.querySelectorAll(".frame")].map((frame) => frame.getBoundingClientRect());
  const box = all.find((one) => event.clientX < one.right) ?? all.at(-1);
  return [
    (event.clientX - box.left) / box.width - 0.5,
    (event.clientY - box.top) / box.height - 0.5,
    box,
  ];
}

function listenForZoom(frames, zoom) {
  frames.addEventListener("wheel", (event) => {
    const focused = frames.getRootNode().activeElement === frames;
    if (!focused && !event.ctrlKey) return; // the page goes on scrolling until the picture was clicked
    event.preventDefault();
    const [x, y] = inFrame(frames, event);
    zoomBy(frames, Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.006), [x, y]);
  }, { passive: false });
  frames.onpointerdown = (event) => {
    if (event.button) return; // the menu of another button hides that it was let go
    frames.focus({ preventScroll: true });
    zoom.fingers.set(event.pointerId, event);
    frames.setPointerCapture(event.pointerId);
  };
  frames.onpointermove = (event) => {
    const before = zoom.fingers.get(event.pointerId);
    if (!before) return;
    const [x, y, box] = inFrame(frames, event);
    const other = [...zoom.fingers.values()].find((one) => one.pointerId !== event.pointerId);
    if (other) {
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      zoomBy(frames, apart(event) / Math.max(apart(before), 1), [x, y]);
    } else if (zoom.scale > 1) {
      const step = [(event.clientX - before.clientX) / box.width, (event.clientY - before.clientY) / box.height];
      moveTo(frames, zoom.scale, zoom.x + step[0], zoom.y + step[1]);
    }
    zoom.fingers.set(event.pointerId, event);
  };
  frames.onpointerup = frames.onpointercancel = (event) => zoom.fingers.delete(event.pointerId);
  frames.ondblclick = (event) => {
    if (zoom.scale > 1) zoom.reset();
    else zoomBy(frames, 3, inFrame(frames, event).slice(0, 2));
  };
  frames.onkeydown = (event) => onZoomKey(frames, zoom, event);
}

function onZoomKey(frames, zoom, event) {
  if (isShortcut(event)) return;
  const moves = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
  const move = zoom.scale > 1 && moves[event.key]; // unmagnified, the arrows belong to the gallery's walk
  if (event.key === "+" || event.key === "=") zoomBy(frames, 1.5);
  else if (event.key === "-") zoomBy(frames, 1 / 1.5);
  else if (event.key === "0") zoom.reset();
  else if (move) moveTo(frames, zoom.scale, zoom.x + move[0], zoom.y + move[1]);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
