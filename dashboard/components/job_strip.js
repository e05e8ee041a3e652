const FOLDED = "peregrineJobFolded"; // of the browser's storage, and of the page: page.css looks at it

function stored() {
  try {
    return window.localStorage.getItem(FOLDED) === "1";
  } catch {
    return false; // storage that may not be read
  }
}

function store(folded) {
  try {
    window.localStorage.setItem(FOLDED, folded ? "1" : "0");
  } catch {
    // it stays so until the page is loaded again
  }
}

export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  const root = document.documentElement;
  const show = (folded) => {
    root.toggleAttribute("data-job-folded", folded);
    const label = folded ? "Show what runs" : "Fold";
    button.setAttribute("aria-expanded", String(!folded));
    button.setAttribute("aria-label", folded ? `${label}: ${data.share}` : label);
    button.title = label;
    button.querySelector(".mark").textContent = folded ? "▴" : "▾";
  };
  button.querySelector(".share").textContent = data.share;
  button.onclick = () => {
    const folded = !root.hasAttribute("data-job-folded");
    store(folded);
    show(folded);
  };
  show(stored());
}
