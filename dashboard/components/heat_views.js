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

// row: of the list of features; none: the heatmap as a whole.
function look({ root, data }, row) {
  const overlay = data.overlay ? root.lastElementChild : null;
  if (!overlay) return;
  const words = row?.title;
  if (row?.src) show(overlay, row.src, `Where ${words} looks`, `Where ${words} looks`);
  else show(overlay, data.overlay, `Heatmap of ${data.name}`, row ? `${words}: its heatmap is not stored` : data.said);
}

function draw(self) {
  const { root, data } = self;
  const sources = [data.picture, data.overlay].filter(Boolean);
  while (root.children.length > sources.length) root.lastChild.remove();
  while (root.children.length < sources.length) root.append(makeView());
  if (data.picture) show(root.children[0], data.picture, data.name, "");
  look(self, null);
}

export default function ({ data, parentElement }) {
  const self = mounted(parentElement);
  self.root = parentElement.querySelector(".views");
  self.data = data;
  if (!self.listens) {
    self.listens = ({ detail }) => detail.views === self.data.views && look(self, detail.row);
    document.addEventListener(HEAT_OF, self.listens);
  }
  draw(self);
  return () => {
    document.removeEventListener(HEAT_OF, self.listens);
    instances.delete(parentElement);
  };
}
