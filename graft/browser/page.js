// The page: pictures are chosen, dropped or pasted, and answered one after the other on this device.
import {openClassifier} from "./classifier.js";
import {readPixels} from "./pixels.js";

const TOP = 5;              // classes shown for a picture
const NAMED = 12;           // classes named at the top of the page
const opened = openClassifier();
let last = Promise.resolve();

/** The answer for a picture's file: see `Classifier`. Throws an `Error` with the reason. */
export async function classify(file) {
  const classifier = await opened;
  return classifier.classify(await readPixels(file, ...classifier.facts.image_size));
}

const byId = (id) => document.getElementById(id);

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
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

function answered(row) {
  if (row.error) return [element("h2", "", "Cannot be read"), element("p", "bad", row.error)];
  const hedge = row.is_unknown ? "This picture is unlike the images that the model was trained on. Its best guesses:"
    : row.is_unsure ? "The model is not sure enough of this answer: let a person decide." : "";
  return [
    element("h2", "", row.is_unknown ? "Unknown" : row.is_unsure ? "Unsure: " + row.label : row.label),
    ...hedge ? [element("p", "fair", hedge)] : [],
    bars(row.probabilities),
  ];
}

function card(file) {
  const made = element("article", ""), picture = element("img", ""), text = element("div", "");
  picture.alt = file.name || "picture";
  picture.src = URL.createObjectURL(file);
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => picture.replaceWith(element("div", "blank soft", "no preview"));
  text.append(element("h2", "", "…"), element("p", "soft", file.name));
  made.append(picture, text);
  return made;
}

function show(files) {
  for (const file of files) {
    const made = card(file);
    byId("answers").prepend(made);
    last = last.then(() => answer(file, made));
  }
}

async function answer(file, made) {
  const row = await classify(file).catch((error) => ({error: error.message}));
  made.lastChild.replaceChildren(...answered(row), element("p", "soft", file.name));
  await new Promise(requestAnimationFrame);        // let the page be drawn before the next picture keeps it busy
}

function describe({facts}) {
  const names = facts.class_names.slice(0, NAMED).join(", ") + (facts.class_names.length > NAMED ? ", …" : "");
  byId("model").textContent = facts.name + " recognises: " + names;
  byId("notes").append(...facts.notes.map((note) => element("li", "", note)));
}

byId("unstarted").remove();
byId("model").textContent = "The model is being loaded …";
byId("file").addEventListener("change", (event) => { show([...event.target.files]); event.target.value = ""; });
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") show([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => show([...event.clipboardData.files]));
opened.then(describe, (error) => { byId("model").textContent = ""; byId("message").textContent = error.message; })
  .then(() => last).then(() => navigator.serviceWorker?.register("offline.js")).catch(() => {});    // after the answers
