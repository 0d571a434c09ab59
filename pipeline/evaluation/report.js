"use strict";
// The page holds every thumbnail once; galleries and the cells of the confusion matrix refer to it by its number.
const pictures = JSON.parse(document.getElementById("pictures").textContent);
const percent = (share) => `${(100 * share).toFixed(1)}%`;

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function figure(picture) {
  const image = element("img");
  image.src = picture.url;
  image.alt = picture.label;
  const caption = element("figcaption");
  const isRight = picture.label === picture.predicted;
  caption.append(element("b", picture.predicted, isRight ? "good" : "bad"), ` ${percent(picture.probability)}`);
  if (!isRight) caption.append(`, labelled ${picture.label}`);
  if (picture.unknown) caption.append(", unknown");
  caption.append(element("br"), element("span", picture.path, "soft"));
  const made = element("figure");
  made.append(image, caption);
  return made;
}

const show = (gallery, numbers) => gallery.replaceChildren(...numbers.map((number) => figure(pictures[number])));

for (const gallery of document.querySelectorAll(".gallery[data-pictures]"))
  show(gallery, JSON.parse(gallery.dataset.pictures));

const dialog = document.querySelector("dialog");
dialog.querySelector("button").addEventListener("click", () => dialog.close());
for (const cell of document.querySelectorAll("button[data-pictures]"))
  cell.addEventListener("click", () => {
    const numbers = JSON.parse(cell.dataset.pictures);
    dialog.querySelector("h2").textContent = cell.dataset.title;
    dialog.querySelector("p").textContent =
      numbers.length < cell.dataset.count ? `${numbers.length} of ${cell.dataset.count} images` : `${numbers.length} images`;
    show(dialog.querySelector(".gallery"), numbers);
    dialog.showModal();
  });
