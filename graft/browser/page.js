// The page: pictures are answered one after the other on this device.
import {answered, byId, card, element, listen, recognises} from "./answers.js";
import {openClassifier} from "./classifier.js";
import {readPixels} from "./pixels.js";

const opened = openClassifier();
let last = Promise.resolve();

/** The answer for a picture's file: see `Classifier`. Throws an `Error` with the reason. */
export async function classify(file) {
  const classifier = await opened;
  return classifier.classify(await readPixels(file, ...classifier.facts.image_size));
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
  byId("model").textContent = recognises(facts.name, facts.class_names);
  byId("notes").append(...facts.notes.map((note) => element("li", "", note)));
}

byId("unstarted").remove();
byId("model").textContent = "The model is being loaded …";
listen(show);
opened.then(describe, (error) => { byId("model").textContent = ""; byId("message").textContent = error.message; })
  .then(() => last).then(() => navigator.serviceWorker?.register("offline.js")).catch(() => {});    // after the answers
