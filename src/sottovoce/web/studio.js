// The page: what is chosen and permitted, what is seen and counted. Sound takes another way, from the audio thread to
// the filter's thread and back, so that a busy or hidden page does not delay it.

import { Codebook, inWords } from "./filter.js";
import { drawing } from "./picture.js";
import { fromSamples, listMicrophones, openMicrophone, openSound, wavFile } from "./sound.js";

const RATE = 16000;
const SLACK = 0.2; // of a block: what the filter's thread may take for it
const MOST_TIMES = 1000; // blocks whose time is kept
const ANSWERS = 6;
const BLOCKS_AT_ONCE = 16; // of a sound that is saved

const byId = (id) => document.getElementById(id);
const rounded = (value) => Number(value.toFixed(value < 100 ? 1 : 0));
let worker, book, example; // the filter; `book` is null while there is none
let run = null; // the sound that is filtered now
let played = null; // the context in which codewords are played
let taken = null; // takes the next piece of a sound that is saved

function tell(sentence, kind = "good") {
  byId("status").textContent = sentence;
  byId("status").dataset.kind = kind;
}

function load() {
  stop();
  worker?.terminate();
  book = null;
  showReady(false);
  showNothing();
  tell("The filter is loading.");
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => Object.entries(data).forEach(([name, value]) => news[name](value));
  worker.onerror = () => halt("The filter's thread could not be started. Use a current browser, or export the page again.");
  worker.postMessage({ load: byId("filter").value });
}

// What the filter's thread says.
const news = {
  ready({ facts, sounds, example: sound, ms }) {
    book = new Codebook(facts, sounds);
    example = sound;
    showConsent();
    showWords();
    byId("about").textContent = facts.codewords;
    showReady(true);
    tell(`The filter is ready. It loaded in ${rounded(ms / 1000)} s and passed its check.`);
  },
  block({ codes, ms, bits }) {
    if (!run) return;
    run.bits += bits;
    run.lastBlock = run.context?.currentTime;
    run.times = [...run.times.slice(1 - MOST_TIMES), ms];
    run.answers = [book.say(codes), ...run.answers].slice(0, ANSWERS);
    showRun(codes);
  },
  consent({ permit, at }) {
    const names = permit.length ? permit.join(" and ") : "nothing";
    tell(`From ${rounded(at / RATE)} s on you permit ${names}. A sound that is leaving already ends by itself; what you permit begins with the next block.`);
  },
  dropped: () => tell("The filter fell behind, so a part of the sound was dropped, and silence left instead.", "bad"),
  left: (samples) => taken?.(samples),
  error: (sentence) => halt(sentence),
};

function halt(sentence) {
  stop();
  worker.terminate();
  book = null;
  showReady(false);
  byId("start").disabled = false; // which then loads the filter again
  byId("start").textContent = "Load again";
  tell(`${sentence} Nothing leaves.`, "bad");
}

// --- a sound that is played ---

async function start() {
  if (!book) return load();
  if (run) return stop("Stopped. Nothing leaves.");
  const hadFocus = document.activeElement === byId("start");
  showNothing();
  showReady(false);
  try {
    await begin(byId("source").value === "microphone" ? null : await chosenSound());
  } catch (error) {
    stop();
    tell(error.message, "bad");
  }
  showReady(Boolean(book));
  if (hadFocus) byId("start").focus(); // which it lost while it was disabled
}

async function chosenSound() {
  if (byId("source").value === "example") return fromSamples(example, "Bundled example", book.facts.example);
  const file = byId("file").files[0];
  if (!file) throw new Error("There is no file yet; choose a sound file first.");
  return openSound(file);
}

// Sound from the microphone, or `sound`, through the filter to the loudspeaker.
async function begin(sound) {
  const context = new AudioContext({ sampleRate: RATE });
  const own = (run = fresh(context));
  own.input = sound ? null : await openMicrophone(context, byId("microphone").value);
  own.input?.track.addEventListener("ended", () => own === run && stop("The microphone is gone. Nothing leaves."));
  if (own !== run) return own.input?.track.stop(); // it was stopped meanwhile
  await context.audioWorklet.addModule("audio.js");
  if (own !== run) return;
  const delay = Math.round(book.blockSamples * (1 + SLACK));
  const processorOptions = { delay, isFile: Boolean(sound) };
  const mono = { channelCount: 1, channelCountMode: "explicit", numberOfOutputs: 2, outputChannelCount: [1, 1] };
  own.gate = new AudioWorkletNode(context, "gate", { ...mono, processorOptions });
  own.gate.port.onmessage = ({ data }) => own === run && fromGate(data, sound);
  own.volume = new GainNode(context, { gain: Number(byId("play").checked) });
  own.gate.connect(own.volume, 0).connect(context.destination);
  own.input?.node.connect(own.gate);
  own.drawing = drawing(context, own.input?.node ?? own.gate, sound ? 1 : 0, own.gate);
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ begin: { port: port1, permit: permitted() } }, [port1]);
  own.gate.port.postMessage({ filter: port2 }, [port2]);
  await context.resume();
  own.lastBlock = context.currentTime;
  byId("input").textContent = (sound ?? own.input).name;
  byId("delay").textContent = `${rounded(delay / RATE)} s later`;
  if (!sound) await listMicrophones(byId("microphone"));
  tell(sound ? `The sound passes through the filter. ${sound.about ?? ""}` : "The microphone is on. Use headphones, or it picks up what leaves.");
}

const fresh = (context) => ({ context, bits: 0, times: [], answers: [], lastBlock: 0, at: 0 });

async function fromGate({ more, late, over }, sound) {
  const own = run;
  if (more) {
    const piece = await sound.read(own.at, RATE).catch((error) => own === run && (stop(), tell(error.message, "bad")));
    own.at += piece?.length ?? 0;
    if (piece) own.gate.port.postMessage({ more: piece });
  }
  if (late) tell("The filter was too late, so a part of what it gave was not played, and silence left instead.", "bad");
  if (over) stop("The sound is over. Nothing leaves.");
}

function stop(sentence) {
  if (!run) return;
  const { context, gate, input, drawing } = run;
  run = null;
  taken?.(null);
  worker.postMessage({ stop: true });
  gate?.port.postMessage({ stop: true });
  input?.track.stop();
  drawing?.stop();
  context?.close();
  for (const key of byId("words").children) key.classList.remove("on");
  showReady(Boolean(book));
  if (sentence) tell(sentence);
}

// A filter that does not answer while time passes is dead or stuck. The gate is silent already; this says why.
setInterval(() => {
  if (!run?.gate) return;
  const isRunning = run.context.state === "running";
  if (!isRunning) tell("The browser has suspended the sound. Nothing leaves until it goes on.", "bad");
  else if (run.isSuspended) tell("The sound goes on.");
  run.isSuspended = !isRunning;
  if (run.context.currentTime - run.lastBlock > (2 * book.blockSamples) / RATE + 1)
    halt("The filter's thread has died or is stuck.");
}, 500);

// --- a sound that is saved ---

async function save() {
  stop();
  showReady(false);
  const own = (run = fresh(null));
  try {
    const sound = await chosenSound();
    worker.postMessage({ begin: { port: null, permit: permitted() } });
    const pieces = [];
    for (let at = 0; at < sound.length; at += BLOCKS_AT_ONCE * book.blockSamples) {
      pieces.push(await filtered(await sound.read(at, BLOCKS_AT_ONCE * book.blockSamples)));
      if (own !== run) return;
      tell(`${Math.floor((at / sound.length) * 100)} % of the sound was filtered.`);
    }
    pieces.push(await filtered(null));
    if (own !== run) return;
    download(wavFile(pieces));
    stop("What leaves was saved as a WAV file.");
  } catch (error) {
    stop();
    tell(error.message, "bad");
  }
}

async function filtered(piece) {
  const left = new Promise((resolve) => (taken = resolve));
  worker.postMessage({ piece });
  return new Blob([(await left) ?? ""]); // out of this tab's memory
}

function download(blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "what-leaves.wav";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// --- consent ---

const permitted = () => [...byId("consent").querySelectorAll("input:checked")].map((input) => input.value);

// What is revoked ends at once. What is permitted begins behind all sound of before, so it goes the way of the sound.
function changeConsent(before) {
  const permit = permitted();
  worker.postMessage({ permit: permit.filter((task) => before.includes(task)) });
  (run?.gate?.port ?? worker).postMessage({ permit });
  showBound();
  return permit;
}

function showConsent() {
  const labels = book.tasks.map((task) => {
    const input = Object.assign(document.createElement("input"), { type: "checkbox", value: task.name, checked: true });
    input.setAttribute("role", "switch");
    const about = Object.assign(document.createElement("small"), { textContent: task.codes.map(inWords).join(", ") });
    const label = document.createElement("label");
    label.append(input, task.name, about);
    return label;
  });
  byId("consent").replaceChildren(...labels);
  let before = permitted();
  byId("consent").onchange = () => (before = changeConsent(before));
  showBound();
}

// --- codewords ---

function showWords() {
  const add = (before, task) => before.flatMap((codes) => [0, ...task.codes].map((_, code) => [...codes, code]));
  const keys = book.tasks.reduce(add, [[]]).map((codes, index) => {
    const key = Object.assign(document.createElement("button"), { type: "button", textContent: book.say(codes) });
    key.tabIndex = index ? -1 : 0;
    key.dataset.codes = codes;
    key.addEventListener("click", () => playWord(codes));
    return key;
  });
  byId("words").replaceChildren(...keys);
}

function moveFocus(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const keys = [...event.currentTarget.children];
  const next = keys.at((keys.indexOf(document.activeElement) + step) % keys.length);
  keys.forEach((key) => (key.tabIndex = key === next ? 0 : -1));
  next.focus();
}

function playWord(codes) {
  played ??= new AudioContext({ sampleRate: RATE });
  const samples = book.sound(book.positions - 1, codes);
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(played, { buffer });
  source.connect(played.destination);
  source.start();
}

// --- what is shown ---

function showReady(isReady) {
  byId("start").disabled = byId("save").disabled = !isReady;
  byId("start").textContent = run ? "Stop" : "Start";
}

function showBound() {
  const bits = book.bits(new Set(permitted()));
  const choice = `one of ${Math.round(2 ** bits)} sounds, or ${rounded(bits)} bits`;
  byId("bound").textContent = `${choice}, for each block of ${book.blockSamples / RATE} seconds`;
}

// Nothing of a sound before, or of another filter.
function showNothing() {
  byId("count").textContent = "0";
  for (const id of ["answer", "speed"]) byId(id).textContent = "—";
  for (const id of ["answers", "speeds", "input", "delay"]) byId(id).textContent = "";
  for (const id of ["entering", "left"]) byId(id).getContext("2d").clearRect(0, 0, byId(id).width, byId(id).height);
}

function showRun(codes) {
  const sorted = [...run.times].sort((one, other) => one - other);
  const share = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
  const factor = share(0.5) / 1000 / (book.blockSamples / RATE);
  byId("count").textContent = rounded(run.bits);
  byId("answer").textContent = run.answers[0];
  byId("answers").textContent = `before: ${run.answers.slice(1).join(" · ") || "—"}`;
  byId("speed").textContent = `${rounded(share(0.5))} ms`;
  byId("speeds").textContent = `1 % take over ${rounded(share(0.99))} ms; real-time factor ${factor.toFixed(4)}`;
  for (const key of byId("words").children) key.classList.toggle("on", key.dataset.codes === String(codes));
}

function showSource() {
  stop("Stopped. Nothing leaves.");
  for (const part of document.querySelectorAll("[data-for]"))
    part.hidden = !part.dataset.for.split(" ").includes(byId("source").value);
  showNothing();
  if (book) tell("Press Start, and this sound passes through the filter.");
}

function showAgain() {
  if (document.hidden || !run?.drawing) return;
  run.drawing.resume();
  tell("While this tab was hidden, the filter went on; only the pictures paused.");
}

async function open() {
  showSource();
  if (!window.isSecureContext)
    return tell("Open this page over https or on this computer itself; elsewhere browsers give it no microphone.", "bad");
  if (!window.AudioWorkletNode || !window.DecompressionStream)
    return tell("This browser has no AudioWorklet, so it cannot run the filter; use a current browser.", "bad");
  const listed = await fetch("filters.json").then((answer) => answer.json()).catch(() => null);
  if (!listed?.filters?.length)
    return tell("filters.json is missing or damaged on this server; export the page again.", "bad");
  const chosen = decodeURIComponent(location.hash.slice(1)); // a link to one of the filters ends with #its-name
  const option = ({ name, folder }) => new Option(name, folder, false, name === chosen);
  byId("filter").replaceChildren(...listed.filters.map(option));
  const on = (id, event, act) => byId(id).addEventListener(event, act);
  on("filter", "change", load);
  on("source", "change", showSource);
  on("file", "change", showSource);
  on("start", "click", start);
  on("save", "click", save);
  on("play", "change", () => run?.volume && (run.volume.gain.value = Number(byId("play").checked)));
  on("words", "keydown", moveFocus);
  document.addEventListener("visibilitychange", showAgain);
  navigator.mediaDevices?.addEventListener("devicechange", () => listMicrophones(byId("microphone")));
  load();
  for (const module of listed.modules ?? []) await import(module); // what a server adds to this page
}

open();
