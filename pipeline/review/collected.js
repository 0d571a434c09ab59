// Collected pictures: those of a group may be left out of a decision, and a class may be a new one.
const leftOut = new Set();      // digests
const typed = [];               // classes, in the order in which they were first typed

const isCollected = (finding) => kinds[finding.kind].is_collected;

// Of a group of collected pictures, those that are open are shown, and a decision is on those that are not left out.
function visible(finding) {
  const open = finding.pictures.filter((each) => !isAnswer(finding.kind, decided[each.sha256]));
  return isCollected(finding) && open.length ? open : finding.pictures;
}

const meant = (finding) => digests({pictures: visible(finding)}).filter((each) => !leftOut.has(each));

// The choices of a finding; classes that were typed for other pictures have a digit, too.
function choicesOf(finding) {
  if (!isCollected(finding)) return finding.choices;
  const every = digests(finding), choices = {...finding.choices};
  const there = Object.values(choices).map((each) => each.decisions[0]);
  for (const label of typed.filter((each) => !there.includes(`label=${each}`))) {
    const digit = Object.keys(choices).filter((key) => /\d/.test(key)).length + 1;
    if (digit > 9) break;
    choices[digit] = {says: `${every.length > 1 ? "all are" : "it is"} ${label}`, decisions: every.map(() => `label=${label}`)};
  }
  return choices;
}

function leaveOutOnClick(made, digest) {
  const toggle = () => {
    if (!leftOut.delete(digest)) leftOut.add(digest);
    made.classList.toggle("out", leftOut.has(digest));
    made.ariaPressed = leftOut.has(digest);
  };
  [made.tabIndex, made.role, made.ariaLabel, made.ariaPressed] = [0, "button", "leave out", leftOut.has(digest)];
  made.classList.toggle("out", leftOut.has(digest));
  made.onclick = toggle;
  made.onkeydown = (event) => {
    if (event.key === " ") { event.preventDefault(); toggle(); }
  };
}

function learnClasses(decisions) {
  const named = new Set(Object.values(decisions).filter((each) => each.startsWith("label=")).map((each) => each.slice(6)));
  typed.push(...[...named].filter((each) => each === asked && !typed.includes(each)));
  classes = [...new Set([...classes, ...named])].sort();
  byId("classes").replaceChildren(...classes.map((label) => option(label, label)));
}
