// What the page of `graft page` and that of `graft serve` have in common: pictures as they come, and their answers.
export const TOP = 5;       // classes shown for a picture
const NAMED = 12;           // classes named at the top of the page

export const byId = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** What a model's page says of it. */
export function recognises(name, classNames) {
  const more = classNames.length > NAMED ? ", …" : "";
  return name + " recognises: " + classNames.slice(0, NAMED).join(", ") + more;
}

/** The card of a picture that has no answer yet. */
export function card(file) {
  const made = element("article", ""), picture = element("img", ""), text = element("div", "");
  picture.alt = file.name || "picture";
  picture.src = URL.createObjectURL(file);
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => picture.replaceWith(element("div", "blank soft", "no preview"));
  text.append(element("h2", "", "…"), element("p", "soft", file.name));
  made.append(picture, text);
  return made;
}

/** The elements of an answer; its `probabilities` are pairs of a name and a share, the most probable first. */
export function answered(row) {
  if (row.error) return [element("h2", "", "Cannot be read"), element("p", "bad", row.error)];
  const hedge = row.is_unknown ? "This picture is unlike the images that the model was trained on. Its best guesses:"
    : row.is_unsure ? "The model is not sure enough of this answer: let a person decide." : "";
  return [
    element("h2", "", row.is_unknown ? "Unknown" : row.is_unsure ? "Unsure: " + row.label : row.label),
    ...hedge ? [element("p", "fair", hedge)] : [],
    bars(row.probabilities),
  ];
}

function bars(probabilities) {
  const list = element("ol", "");
  for (const [name, share] of probabilities.slice(0, TOP)) {
    const item = element("li", ""), row = element("div", "row"), bar = element("div", "bar");
    row.append(element("span", "", name), element("span", "", (100 * share).toFixed(1) + "%"));
    bar.style.width = 100 * share + "%";
    item.append(row, bar);
    list.append(item);
  }
  return list;
}

/** Call `show` with the files that are chosen, dropped or pasted. */
export function listen(show) {
  byId("file").addEventListener("change", (event) => { show([...event.target.files]); event.target.value = ""; });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      byId("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") show([...event.dataTransfer.files]);
    });
  }
  document.addEventListener("paste", (event) => show([...event.clipboardData.files]));
}
