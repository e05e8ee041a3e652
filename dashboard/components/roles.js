// What a screen reader is told of two parts that Streamlit draws. Of two page switches in columns each has the name of
// its column; and the field for files, which has a name, is a group.
function nameParts() {
  const mend = () => {
    for (const part of document.querySelectorAll("[data-testid=stColumn] [aria-label=Pagination]")) {
      const heading = part.closest("[data-testid=stColumn]").querySelector("h2");
      if (heading) part.setAttribute("aria-label", `Pagination: ${heading.textContent.replace(/\s*\(.*/, "")}`);
    }
    for (const part of document.querySelectorAll("[data-testid=stFileUploaderDropzone][role=presentation]")) {
      part.setAttribute("role", "group");
    }
  };
  let frame = 0; // the page changes hundreds of times while it is built
  const ask = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      mend();
    });
  };
  new MutationObserver(ask).observe(document.body, { subtree: true, childList: true });
  ask();
}
