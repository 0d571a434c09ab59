"use strict";
// One finding is shown at a time; only its pictures, and those of the next two, are loaded.
const byId = (id) => document.getElementById(id);
const AHEAD = 2, STEPS = {"←": -1, "→": 1, s: 1}, NAMES = {ArrowLeft: "←", ArrowRight: "→"};
let kinds = {}, findings = [], shown = [], decided = {}, classes = [], position = 0, isBusy = false, asked = "";
const history = [];

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const digests = (finding) => [...new Set(finding.pictures.map((each) => each.sha256))];
const current = () => shown[position];

function isAnswer(kind, decision) {
  if (!decision) return false;
  return decision === "keep" ? kinds[kind].may_keep : decision === "drop" || kinds[kind].may_label;
}

const isSettled = (finding) => digests(finding).every((each) => isAnswer(finding.kind, decided[each]));

function option(value, text) {
  const made = element("option", text);
  made.value = value;
  return made;
}

function fillFilters() {
  const count = (kind) => findings.filter((each) => each.kind === kind).length;
  byId("kind").replaceChildren(option("", `all findings (${findings.length})`),
    ...Object.keys(kinds).filter(count).map((kind) => option(kind, `${kinds[kind].title} (${count(kind)})`)));
  const named = new Set(findings.flatMap((each) => each.pictures.map((picture) => picture.label)));
  byId("class").replaceChildren(option("", "all classes"),
    ...[...named].filter(Boolean).sort().map((label) => option(label, label)));
  byId("classes").replaceChildren(...classes.map((label) => option(label, label)));
}

function filter() {
  const kind = byId("kind").value, label = byId("class").value;
  shown = findings.filter((each) => (!kind || each.kind === kind)
    && (!label || each.pictures.some((picture) => picture.label === label)));
  position = -1;
  goToNextOpen();
}

function goToNextOpen() {
  const order = [...shown.keys()].map((step) => (position + 1 + step) % shown.length);
  const next = order.find((each) => !isSettled(shown[each]));
  position = next === undefined ? shown.length : next;
  draw();
}

async function paint(canvas, digest) {      // a browser keeps the pixels of hundreds of <img> that are gone
  const bitmap = await createImageBitmap(await fetchPicture(digest));
  if (canvas.isConnected) {
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  }
  bitmap.close();
}

async function fetchPicture(digest) {
  const answer = await fetch(`pictures/${digest}`);
  return answer.blob();
}

function figure(picture, number) {
  const made = element("figure"), canvas = element("canvas"), caption = element("figcaption");
  canvas.role = "img";
  canvas.ariaLabel = picture.path;
  paint(canvas, picture.sha256).catch(() => canvas.replaceWith(element("div", "nothing of it can be shown", "none")));
  const name = isCollected(current()) ? `${picture.path.slice(0, 12)}…` : picture.path;
  caption.append(element("b", `${number}  ${picture.label}`), element("br"), name, element("br"),
    element("span", picture.note, "soft"));
  made.append(canvas, caption);
  if (isCollected(current()) && visible(current()).length > 1) leaveOutOnClick(made, picture.sha256);
  return made;
}

function button(key, choice, finding) {
  const made = element("button"), isProposed = key === finding.proposed;
  const isChosen = digests(finding).every((each, place) => decided[each] === choice.decisions[place]);
  made.append(element("kbd", key), choice.says + (isProposed ? " · proposed" : ""));
  made.className = (isProposed ? "proposed " : "") + (isChosen ? "chosen" : "");
  made.onclick = () => decide(chosen(finding, choice));
  return made;
}

function chosen(finding, choice) {
  const every = digests(finding);
  return Object.fromEntries(meant(finding).map((each) => [each, choice.decisions[every.indexOf(each)]]));
}

function load(finding) {        // into the browser's cache
  for (const digest of finding ? digests(finding) : []) fetchPicture(digest).catch(() => null);
}

function draw() {
  const finding = current(), settled = shown.filter(isSettled).length;
  byId("count").textContent = `${settled} of ${shown.length}`;
  byId("progress").max = Math.max(shown.length, 1);
  byId("progress").value = settled;
  byId("finding").hidden = !finding;
  byId("other").hidden = true;
  byId("open").textContent = stopping();
  if (!finding) return finish();
  const numbers = digests(finding);
  for (const each of document.querySelectorAll("canvas")) each.width = 0;      // frees its pixels
  byId("says").textContent = finding.title;
  byId("hint").hidden = !isCollected(finding);
  byId("pictures").className = finding.kind === "alike" ? "alike" : "";
  byId("pictures").replaceChildren(
    ...visible(finding).map((each) => figure(each, numbers.indexOf(each.sha256) + 1)));
  byId("choices").replaceChildren(
    ...Object.entries(choicesOf(finding)).map(([key, choice]) => button(key, choice, finding)));
  for (let step = 1; step <= AHEAD; step++) load(shown[position + step]);
}

function finish() {
  const open = findings.filter((each) => !isSettled(each)).length;
  byId("says").textContent = open ? `Nothing is open here; ${open} findings are open elsewhere` : "Nothing is open";
}

function stopping() {
  const open = findings.filter((each) => kinds[each.kind].may_stop && !isSettled(each)).length;
  return open ? `${open} findings that may stop the run are open` : "Nothing that may stop the run is open";
}

async function send(finding, decisions, expected) {
  const answer = await fetch("decisions", {
    method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify({id: finding.id, decisions, expected}),
  }).catch(() => null);
  const content = answer ? await answer.json().catch(() => ({})) : {};
  if (content.decided) Object.assign(decided, content.decided);
  if (answer && answer.ok) return true;
  const meanwhile = [...new Set(Object.values(content.decided || {}))].map((each) => each || "taken back").join(", ");
  byId("message").textContent = !answer ? "The server cannot be reached. Nothing was written."
    : content.decided ? `Somebody else has decided meanwhile: ${meanwhile}. Nothing was written.`
    : typeof content.detail === "string" ? content.detail : `HTTP ${answer.status}. Nothing was written.`;
  return false;
}

const before = (decisions) => Object.fromEntries(Object.keys(decisions).map((each) => [each, decided[each] || ""]));

async function alone(work) {
  if (isBusy) return;         // a key that is pressed before the next finding shows is not meant for it
  isBusy = true;
  byId("message").textContent = "";
  await work().finally(() => { isBusy = false; });
}

const decide = (decisions) => alone(async () => {
  const finding = current(), expected = before(decisions);
  if (!Object.keys(decisions).length) return;         // all are left out
  if (!await send(finding, decisions, expected)) return draw();
  history.push({finding, decisions, expected});
  learnClasses(decisions);
  leftOut.clear();
  if (!isSettled(finding)) return draw();             // what was left out is asked about next
  goToNextOpen();
});

const undo = () => alone(async () => {
  const last = history.pop();
  if (!last) return;
  await send(last.finding, last.expected, last.decisions);
  if (!shown.includes(last.finding)) {
    byId("kind").value = byId("class").value = "";
    shown = findings;
  }
  position = shown.indexOf(last.finding);
  draw();
});

function labelled(finding, label) {
  if (isCollected(finding)) return Object.fromEntries(meant(finding).map((each) => [each, `label=${label}`]));
  const isOwn = (digest) => finding.pictures.every((each) => each.sha256 !== digest || each.label === label);
  return Object.fromEntries(digests(finding).map((each) => [each, isOwn(each) ? "keep" : `label=${label}`]));
}

function askLabel() {
  if (!current() || !kinds[current().kind].may_label) return;
  byId("other").hidden = false;
  byId("label").value = asked = "";
  byId("label").focus();
}

function move(step) {
  position = Math.min(Math.max(position + step, 0), shown.length);
  draw();
}

function keyOf(event) {
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
  return digit ? (event.shiftKey ? "⇧" : "") + digit[1] : NAMES[event.key] || event.key.toLowerCase();
}

function act(key) {
  const finding = current(), choice = finding && choicesOf(finding)[key === "enter" ? finding.proposed : key];
  if (choice) decide(chosen(finding, choice));
  else if (key === "u") undo();
  else if (key === "l") askLabel();
  else if (key in STEPS && !isBusy) move(STEPS[key]);
  else return false;
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { byId("other").hidden = true; document.activeElement.blur(); }
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || /INPUT|SELECT/.test(event.target.tagName)) return;
  if (act(keyOf(event))) event.preventDefault();
});
for (const each of document.querySelectorAll("[data-key]")) {
  each.addEventListener("click", () => { each.blur(); act(each.dataset.key.toLowerCase()); });
}
byId("other").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = byId("label").value.trim().normalize("NFC");
  const isNew = !classes.includes(label), mayBeNew = label && isCollected(current());
  if (!isNew || (mayBeNew && asked === label)) decide(labelled(current(), label));
  else byId("message").textContent = `“${label}” is no class${mayBeNew ? " yet. Once more Enter makes it one" : ""}.`;
  asked = label;
});
for (const id of ["kind", "class"]) {
  byId(id).addEventListener("change", (event) => { event.target.blur(); filter(); });
}

async function begin() {
  const answer = await fetch("queue"), content = await answer.json();
  if (!answer.ok) throw new Error(content.detail);
  ({kinds, findings, decided, classes} = content);
  fillFilters();
  filter();
}
begin().catch((error) => { byId("message").textContent = error.message || "The server cannot be reached."; });
