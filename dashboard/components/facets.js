function valueButton({ id, name, n, pressed }, most) {
  const node = element("button", "value");
  node.dataset.id = id;
  node.title = name;
  node.setAttribute("aria-pressed", String(pressed));
  const bar = element("span", "bar");
  bar.style.width = `${(100 * n) / Math.max(most, 1)}%`;
  node.append(bar, element("span", "name", name), element("span", "n", n.toLocaleString("en")));
  return node;
}

// All values of an opened facet, else the first ones and those that are pressed.
function facetList(self, { id, title, values, left_out: leftOut }) {
  const list = element("div", "facet");
  list.dataset.id = id;
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", title);
  list.append(element("span", "title", title));
  const most = Math.max(0, ...values.map(({ n }) => n));
  const open = self.open.has(id);
  const shown = values.filter(({ pressed }, at) => open || pressed || at < self.first);
  list.append(...shown.map((value) => valueButton(value, most)));
  if (open && leftOut) list.append(element("span", "rest", `and ${leftOut.toLocaleString("en")} more`));
  if (values.length > self.first) {
    const folded = values.length - shown.length + leftOut;
    const more = element("button", "more", open ? "Fewer" : `${folded.toLocaleString("en")} more`);
    more.dataset.id = "";
    more.setAttribute("aria-expanded", String(open));
    more.setAttribute("aria-label", `${more.textContent} of ${title}`);
    if (open || shown.length < values.length) list.append(more);
  }
  return list;
}

// What had the focus has it again afterwards.
function draw(self) {
  const focused = self.root.getRootNode().activeElement;
  const held = self.root.contains(focused) && [focused.closest(".facet").dataset.id, focused.dataset.id];
  self.root.replaceChildren(...self.facets.map((facet) => facetList(self, facet)));
  if (!held) return;
  const list = [...self.root.children].find((one) => one.dataset.id === held[0]);
  [...(list?.querySelectorAll("button") ?? [])].find((one) => one.dataset.id === held[1])?.focus();
}

function onClick(self, event) {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  const facet = pressed.closest(".facet").dataset.id;
  if (pressed.classList.contains("value")) return self.emit("pressed", [facet, pressed.dataset.id]);
  if (!self.open.delete(facet)) self.open.add(facet);
  draw(self);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const self = mounted(parentElement, () => ({ open: new Set() }));
  Object.assign(self, { emit: setTriggerValue, facets: data.facets, first: data.first });
  self.root = parentElement.querySelector(".facets");
  self.root.onclick = (event) => onClick(self, event);
  draw(self);
  return () => instances.delete(parentElement);
}
