// The file field checks and uploads as if the file had been chosen in it. Each picture is followed by a new
// field, whose key begins alike: a paste just then finds the one that stands on the page.
function give(uploader, files) {
  const file = [...(files ?? [])].find((one) => one.type.startsWith("image/"));
  const field = document.querySelector(`[class*="st-key-${CSS.escape(uploader)}"] input[type=file]`);
  if (!file || !field) return false;
  const list = new DataTransfer();
  list.items.add(file);
  field.files = list.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

function listen() {
  const self = {};
  const inField = (event) => event.target.closest?.("[data-testid=stFileUploader]");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const onPaste = (event) => {
    if (give(self.uploader, event.clipboardData?.files)) event.preventDefault();
  };
  const onDrag = (event) => {
    if (hasFiles(event) && !inField(event)) event.preventDefault(); // or the browser would open the file
  };
  const onDrop = (event) => {
    if (!hasFiles(event) || inField(event)) return;
    event.preventDefault();
    give(self.uploader, event.dataTransfer.files);
  };
  document.addEventListener("paste", onPaste);
  document.addEventListener("dragover", onDrag);
  document.addEventListener("drop", onDrop);
  self.stop = () => {
    document.removeEventListener("paste", onPaste);
    document.removeEventListener("dragover", onDrag);
    document.removeEventListener("drop", onDrop);
  };
  return self;
}

export default function ({ data, parentElement }) {
  const self = mounted(parentElement, listen); // drawn again with the page's colours
  self.uploader = data.uploader;
  return () => {
    self.stop();
    instances.delete(parentElement);
  };
}
