const percent = (share) => `${(100 * share).toFixed(3)}%`;

// The browser's tab stops at one place; arrow keys lead to the others.
function onKey(event, buttons, columns) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const next = buttons[buttons.indexOf(event.target) + (steps[event.key] ?? NaN)];
  if (!next || isShortcut(event)) return;
  event.preventDefault();
  event.stopPropagation(); // else the page turns to another image
  for (const one of buttons) one.tabIndex = one === next ? 0 : -1;
  next.focus();
}

export default function ({ data, parentElement, setTriggerValue }) {
  const [rows, columns] = data.grid;
  const [left, top, right, bottom] = data.box;
  const image = parentElement.querySelector("img");
  const places = parentElement.querySelector(".places");
  if (image.getAttribute("src") !== data.picture) image.src = data.picture;
  image.alt = data.name;
  places.setAttribute("aria-label", `Places of ${data.name}; arrow keys move, Enter chooses`);
  const shape = `${rows} ${columns}`;
  if (places.dataset.shape !== shape) { // else the focus would be lost
    places.dataset.shape = shape;
    places.replaceChildren(...Array.from({ length: rows * columns }, () => document.createElement("button")));
  }
  const buttons = [...places.children];
  places.onkeydown = (event) => onKey(event, buttons, columns);
  buttons.forEach((button, place) => {
    const row = Math.floor(place / columns), column = place % columns;
    button.type = "button";
    button.setAttribute("aria-label", `row ${row + 1}, column ${column + 1}`);
    button.setAttribute("aria-pressed", String(place === data.chosen));
    button.tabIndex = place === (data.chosen ?? 0) ? 0 : -1;
    button.onclick = () => setTriggerValue("chosen", place);
    Object.assign(button.style, {
      left: percent(left + ((right - left) * column) / columns),
      top: percent(top + ((bottom - top) * row) / rows),
      width: percent((right - left) / columns),
      height: percent((bottom - top) / rows),
    });
  });
}
