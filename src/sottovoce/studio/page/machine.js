// The page of audits. All that it shows is read from the server again every few seconds; nothing is kept in the tab but
// which audits are chosen.

const EVERY_MS = 3000;
const byId = (id) => document.getElementById(id);
const chosen = new Set();
let last = "";

function tell(sentence, kind = "good") {
  if (byId("status").textContent !== sentence) byId("status").textContent = sentence;
  byId("status").dataset.kind = kind;
}

// An element with text and children; text of files never becomes HTML.
function made(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

async function ask(path, body) {
  const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, body ? sent : {}).catch(() => {
    throw new Error("The studio does not answer. It has ended, or the machine sleeps; start it again for a new address.");
  });
  if (!answer.ok) throw new Error(sentence(await answer.text()));
  return answer.json();
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const short = (path) => path.split("/").pop();

async function refresh() {
  try {
    const state = await ask("machine.json");
    if (!last) tell("This page shows the folders of the studio as they are now.");
    if (JSON.stringify(state) !== last) show(state);
    last = JSON.stringify(state);
  } catch (error) {
    last = "";
    tell(error.message, "bad");
  }
}

function show(state) {
  byId("no-work").hidden = state.work.length > 0;
  byId("work").replaceChildren(...state.work.map(work));
  byId("no-audits").hidden = state.audits.length > 0;
  const focused = document.activeElement?.value ?? "";
  byId("audits").replaceChildren(...state.audits.map(audit));
  boxOf(focused)?.focus();
  byId("start-about").textContent = `The audit is a process of its own, which continues when this page is closed. Its results come into a new folder of ${state.out}.`;
  for (const [id, names] of [["system", state.systems], ["corpus", state.corpora]]) {
    const options = [...byId(id).options].map((option) => option.value);
    if (options.join("\n") !== names.join("\n")) byId(id).replaceChildren(...names.map((name) => new Option(name)));
  }
  showChoice();
}

function work({ verb, out, done, total, note, running, said, updated, pid }) {
  const minutes = Math.round((Date.now() / 1000 - updated) / 60);
  const step = `${total ? `step ${done} of ${total}` : "no step yet"}, ${minutes < 1 ? "less than a minute" : `${minutes} min`} ago`;
  const status = running ? `Process ${pid} is running: ${step}.` : `It has stopped: ${step}. Repeat the command, and it resumes.`;
  const item = made("li", {}, made("b", { textContent: `${verb} ${short(out)}` }), made("small", { textContent: status }));
  if (total) item.append(made("progress", { max: total, value: done, ariaLabel: `Progress of ${short(out)}` }));
  item.append(made("small", { textContent: (running ? note : said) || out, title: out }));
  return item;
}

function audit({ id, name, error, date, corpus, attackers, valid, earlier, permitted, private: attacked }) {
  const box = made("input", { type: "checkbox", value: id, checked: chosen.has(id), disabled: Boolean(error) });
  box.addEventListener("change", () => (box.checked ? chosen.add(id) : chosen.delete(id), showChoice()));
  const about = made("span", {}, made("b", { textContent: short(name) }), made("small", { textContent: name }));
  const item = made("li", {}, made("label", {}, box, about));
  if (error) return about.append(made("small", { textContent: sentence(error) })), item;
  const recognised = Object.entries(permitted).map(([task, score]) => `${task} is recognised in ${percent(score)}`);
  const facts = [`${date.slice(0, 10)}, ${corpus}, ${attackers} attackers`, ...recognised];
  about.append(made("small", { textContent: `${facts.join("; ")}.` }));
  const counts = valid && !earlier; // or the verdicts show nothing
  const marks = Object.entries(attacked).map(([task, { verdict, leakage }]) => {
    const textContent = `${task}: ${verdict}, ${(100 * leakage).toFixed(1)} points above the floor`;
    return made("span", { className: counts ? verdict.replace(" ", "-") : "", textContent });
  });
  if (!valid) marks.unshift(made("span", { className: "leaks", textContent: "invalid: a control failed" }));
  if (earlier) marks.unshift(made("span", { className: "leaks", textContent: "of an earlier version: audit again" }));
  about.append(made("span", { className: "verdicts" }, ...marks));
  return item;
}

const boxOf = (key) => byId("audits").querySelector(`[value="${CSS.escape(key)}"]:enabled`);
function showChoice() {
  for (const key of chosen) if (!boxOf(key)) chosen.delete(key);
  byId("show").disabled = chosen.size === 0;
  byId("show").textContent = chosen.size > 1 ? `Compare ${chosen.size} audits` : chosen.size ? "Show the report" : "Choose an audit to see its report";
}

async function compare() {
  const keys = [...byId("audits").querySelectorAll("input:checked")].map((box) => box.value);
  try {
    const { lines, warnings } = keys.length > 1 ? await ask(`compare.json?audits=${keys.join()}`) : { lines: [], warnings: [] };
    const [head, ...rows] = lines;
    byId("warnings").replaceChildren(...warnings.map((text) => made("li", { textContent: `${sentence(text)}.` })));
    const cells = head?.map((name) => made("th", { scope: "col", textContent: short(name), title: name })) ?? [];
    byId("numbers-table").replaceChildren(made("thead", {}, made("tr", {}, ...cells)), made("tbody", {}, ...rows.map(row)));
    byId("scroll").hidden = !head;
    byId("reports").replaceChildren(...keys.map(report));
    byId("shown-title").textContent = keys.length > 1 ? "Side by side" : "Report";
    byId("shown").hidden = false;
    byId("shown-title").focus();
  } catch (error) {
    tell(error.message, "bad");
  }
}

const row = ([name, ...cells]) =>
  made("tr", {}, made("th", { scope: "row", textContent: name }), ...cells.map((text) => made("td", { textContent: text })));

function report(key) {
  const name = boxOf(key).parentElement.querySelector("b").textContent;
  const alone = made("a", { href: `report/${key}`, target: "_blank", rel: "noopener", textContent: "open alone" });
  const caption = made("figcaption", {}, made("b", { textContent: name }), alone);
  return made("figure", {}, caption, made("iframe", { src: `report/${key}`, title: `Report of ${name}` }));
}

async function order(path, before, after) {
  const wish = { system: byId("system").value, corpus: byId("corpus").value, attackers: byId("attackers").value };
  byId("plan").disabled = byId("start").disabled = true;
  tell(before);
  try {
    after(await ask(path, wish));
  } catch (error) {
    tell(error.message, "bad");
  }
  byId("plan").disabled = byId("start").disabled = false;
}

byId("show").onclick = compare;
function estimate({ plan }) {
  tell("The estimate says what this audit can show. It stands below.");
  byId("estimate").textContent = `${byId("system").value} on ${byId("corpus").value}\n\n${plan}`;
  byId("estimate").hidden = false;
}

byId("plan").onclick = () => order("plan", "The estimate reads the recordings, which can take minutes.", estimate);
byId("form").onchange = () => (byId("estimate").hidden = true);
byId("start").onclick = () =>
  order("audit", "The audit is being started.", ({ out }) => tell(`The audit has started. Its folder is ${short(out)}.`));
refresh();
setInterval(() => document.hidden || refresh(), EVERY_MS);
