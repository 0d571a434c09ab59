// Collected pictures: those of a group may be left out of a decision, and a class may be a new one.
const leftOut = new Set();      // digests

const isCollected = (finding) => kinds[finding.kind].is_collected;

// Of a group of collected pictures, those that are open are shown, and a decision is on those that are not left out.
function visible(finding) {
  const open = finding.pictures.filter((each) => !isAnswer(finding.kind, decided[each.sha256]));
  return isCollected(finding) && open.length ? open : finding.pictures;
}

const meant = (finding) => digests({pictures: visible(finding)}).filter((each) => !leftOut.has(each));

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
  const named = Object.values(decisions).filter((each) => each.startsWith("label=")).map((each) => each.slice(6));
  classes = [...new Set([...classes, ...named])].sort();
  byId("classes").replaceChildren(...classes.map((label) => option(label, label)));
}
