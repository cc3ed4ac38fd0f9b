// The page: what is chosen and permitted, what is seen and counted. Sound takes another way, from the audio thread to
// the filter's thread and back, so that a busy or hidden page does not delay it.

import { Codebook } from "./filter.js";
import { SoundError, fromSamples, openSound, wavFile } from "./sound.js";
import { listMicrophones, openMicrophone } from "./microphone.js";
import { drawing } from "./picture.js";

const RATE = 16000;
const SLACK = 4096; // samples: what the filter's thread may take for a block
const MOST_TIMES = 1000; // blocks whose time is kept
const ANSWERS = 6;

const byId = (id) => document.getElementById(id);
let worker, book, example, folder; // the filter
let run = null; // the sound that is filtered now
let played = null; // the context in which codewords are played
let reply = null; // what takes the next piece of a file that is saved

function tell(sentence, kind = "good") {
  byId("status").textContent = sentence;
  byId("status").dataset.kind = kind;
}

function permitted() {
  return [...byId("consent").querySelectorAll("input:checked")].map((input) => input.value);
}

// --- the filter ---

function load() {
  stop();
  worker?.terminate();
  book = null;
  setReady(false);
  folder = byId("filter").value;
  tell("The filter is loading.");
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => Object.entries(data).forEach(([name, value]) => news[name](value));
  worker.onerror = () => halt("The filter's thread could not be started; reload the page, or use a current browser.");
  worker.postMessage({ load: folder });
}

function setReady(isReady) {
  byId("start").disabled = byId("save").disabled = !isReady;
}

const news = {
  ready({ facts, sounds, example: sound, ms }) {
    book = new Codebook(facts, sounds);
    example = sound;
    showConsent();
    showWords();
    byId("about").textContent = facts.codewords;
    const bits = book.bits(new Set(permitted()));
    byId("bound").textContent = `at most ${rounded(bits)} with each ${book.blockSamples / RATE} seconds`;
    setReady(true);
    const seconds = rounded(ms / 1000);
    tell(`The filter is ready: loaded in ${seconds} s, and it computes here what it computed where it was exported.`);
  },
  block({ codes, ms, bits, at }) {
    if (!run) return;
    run.bits += bits;
    run.lastBlock = run.context?.currentTime ?? 0;
    run.times = [...run.times.slice(1 - MOST_TIMES), ms];
    run.answers = [book.say(codes), ...run.answers].slice(0, ANSWERS);
    run.seconds = (at + book.blockSamples) / RATE;
    showRun(codes);
  },
  consent({ permit, at }) {
    if (!run) return;
    const names = permit.length ? permit.join(", ") : "nothing";
    const from = permit.length ? "from the next whole block on; what was revoked ended at once" : "at once";
    tell(`At ${rounded(at / RATE)} s you permitted ${names}: it holds ${from}.`);
  },
  dropped: () => tell("The filter fell behind, so a part of the sound was dropped and silence left.", "bad"),
  left: (samples) => reply?.(samples),
  error: (sentence) => halt(sentence),
};

function halt(sentence) {
  stop();
  worker.terminate();
  setReady(false);
  byId("filter").dataset.again = "true"; // choosing it again loads it again
  tell(`Nothing leaves: ${sentence}`, "bad");
}

// --- a sound that is played ---

async function start() {
  if (run) return stop("Stopped. Nothing leaves.");
  const source = byId("source").value;
  setReady(false);
  try {
    const sound = source === "microphone" ? null : await chosenSound(source);
    await begin(sound);
  } catch (error) {
    stop();
    tell(error.message, "bad");
  }
  setReady(Boolean(book));
}

async function chosenSound(source) {
  const file = byId("file").files[0];
  if (source === "file" && !file) throw new SoundError("Choose a sound file first.");
  return source === "file" ? openSound(file) : fromSamples(example);
}

async function begin(sound) {
  const context = new AudioContext({ sampleRate: RATE });
  run = fresh(context);
  const own = run;
  const input = sound ? null : await openMicrophone(context, byId("microphone").value);
  input?.track.addEventListener("ended", () => stop("The microphone was unplugged or taken away; nothing leaves."));
  run.input = input;
  await context.audioWorklet.addModule("audio.js");
  if (own !== run) return input?.close();
  const delay = book.blockSamples + SLACK;
  const gate = new AudioWorkletNode(context, "gate", {
    outputChannelCount: [1, 1],
    numberOfOutputs: 2,
    channelCount: 1,
    channelCountMode: "explicit",
    processorOptions: { delay, isFile: Boolean(sound) },
  });
  run.gate = gate;
  gate.port.onmessage = ({ data }) => own === run && fromGate(data, sound);
  const volume = new GainNode(context, { gain: byId("play").checked ? 1 : 0 });
  run.volume = volume;
  gate.connect(volume, 0).connect(context.destination);
  input?.node.connect(gate);
  run.draw = drawing(context, input?.node ?? gate, input ? 0 : 1, gate);
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ permit: permitted() });
  worker.postMessage({ begin: port1 }, [port1]);
  gate.port.postMessage({ filter: port2 }, [port2]);
  await context.resume();
  byId("start").textContent = "Stop";
  byId("input").textContent = input ? input.name : "from a file";
  byId("delay").textContent = `${rounded(delay / RATE)} s later`;
  if (input) listMicrophones(byId("microphone"));
  tell(input ? "The microphone is on. Speak, and hear what leaves." : "The sound is playing through the filter.");
}

function fresh(context) {
  return { context, bits: 0, times: [], answers: [], seconds: 0, lastBlock: 0, at: 0 };
}

async function fromGate({ more, late, over }, sound) {
  if (more) {
    const piece = await sound.read(run.at, RATE);
    if (!run) return;
    run.at += piece.length;
    run.gate.port.postMessage({ more: piece });
  }
  if (late) tell("The filter fell behind, so a part of what it gave was too late and silence left instead.", "bad");
  if (over) stop("The sound is over.");
}

function stop(sentence) {
  if (!run) return;
  const { context, gate, input, draw } = run;
  run = null;
  worker.postMessage({ stop: true });
  gate?.port.postMessage({ stop: true });
  input?.close();
  draw?.stop();
  context?.close();
  byId("start").textContent = "Start";
  byId("words").querySelectorAll(".on").forEach((key) => key.classList.remove("on"));
  if (sentence) tell(sentence);
}

// A filter that does not answer while time passes is dead or stuck. The gate plays silence already; this says so.
setInterval(() => {
  if (!run?.gate) return;
  if (run.context.state === "suspended") tell("The browser suspended the sound; nothing leaves until it resumes.", "bad");
  else if (run.context.currentTime - run.lastBlock > (2 * book.blockSamples) / RATE + 1)
    halt("the filter's thread died or is stuck. Choose the filter again to restart it.");
}, 500);

// --- a sound that is saved ---

async function save() {
  stop();
  setReady(false);
  const pieces = [];
  try {
    const sound = await chosenSound(byId("source").value);
    run = fresh(null);
    worker.postMessage({ permit: permitted() });
    worker.postMessage({ begin: null });
    for (let at = 0; run && at <= sound.length; at += 16 * book.blockSamples) {
      const piece = await sound.read(at, 16 * book.blockSamples);
      pieces.push(new Blob([await filtered(piece)]));
      tell(`Filtered ${rounded(Math.min(1, (at + piece.length) / sound.length) * 100)} % of the sound.`);
    }
    if (!run) return;
    pieces.push(new Blob([await filtered(null)]));
    download(wavFile(pieces));
    tell("What leaves was saved as a WAV file.");
    run = null;
  } catch (error) {
    run = null;
    tell(error.message, "bad");
  } finally {
    setReady(Boolean(book));
  }
}

function filtered(piece) {
  return new Promise((resolve) => {
    reply = resolve;
    worker.postMessage({ piece });
  });
}

function download(blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "what-leaves.wav";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// --- what is shown ---

function showConsent() {
  byId("consent").replaceChildren(
    ...book.tasks.map((task) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "checkbox", value: task.name, checked: true });
      input.setAttribute("role", "switch");
      input.addEventListener("change", () => worker.postMessage({ permit: permitted() }));
      const about = document.createElement("small");
      about.textContent = task.codes.join(", ");
      label.append(input, ` ${task.name} `, about);
      return label;
    }),
  );
}

function showWords() {
  const all = book.tasks.reduce(
    (before, task) => before.flatMap((codes) => Array.from({ length: task.codes.length + 1 }, (_, code) => [...codes, code])),
    [[]],
  );
  const keys = all.map((codes, index) => {
    const key = document.createElement("button");
    Object.assign(key, { type: "button", textContent: book.say(codes), tabIndex: index ? -1 : 0 });
    key.dataset.codes = codes.join();
    key.addEventListener("click", () => playWord(codes));
    return key;
  });
  byId("words").replaceChildren(...keys);
}

function moveFocus(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const keys = [...byId("words").children];
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

function showRun(codes) {
  byId("count").textContent = rounded(run.bits);
  byId("answer").textContent = run.answers[0];
  byId("answers").textContent = run.answers.length > 1 ? `before: ${run.answers.slice(1).join(" · ")}` : "";
  const sorted = [...run.times].sort((one, other) => one - other);
  const share = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
  const factor = share(0.5) / 1000 / (book.blockSamples / RATE);
  byId("speed").textContent = `${rounded(share(0.5))} ms`;
  byId("speeds").textContent = `1 % take over ${rounded(share(0.99))} ms; real-time factor ${factor.toFixed(4)}`;
  for (const key of byId("words").children) key.classList.toggle("on", key.dataset.codes === codes.join());
}

function rounded(value) {
  return Number(value.toFixed(value < 100 ? 1 : 0));
}

function showSource() {
  stop("Stopped. Nothing leaves.");
  for (const part of document.querySelectorAll("[data-for]"))
    part.hidden = !part.dataset.for.split(" ").includes(byId("source").value);
}

async function open() {
  showSource();
  if (!window.isSecureContext)
    return tell("Open this page over https or from this computer; browsers give others no microphone.", "bad");
  if (!window.AudioWorkletNode || !window.DecompressionStream)
    return tell("This browser cannot run the filter, since it has no AudioWorklet; use a current browser.", "bad");
  let listed;
  try {
    listed = await (await fetch("filters.json")).json();
    byId("filter").replaceChildren(...listed.filters.map(({ name, folder }) => new Option(name, folder)));
  } catch {
    return tell("filters.json is missing or damaged on this server; export the folder again.", "bad");
  }
  byId("filter").addEventListener("change", load);
  byId("source").addEventListener("change", showSource);
  byId("start").addEventListener("click", start);
  byId("save").addEventListener("click", save);
  byId("play").addEventListener("change", () => run?.volume && (run.volume.gain.value = byId("play").checked ? 1 : 0));
  byId("words").addEventListener("keydown", moveFocus);
  document.addEventListener("visibilitychange", () => document.hidden || run?.draw?.resumed());
  load();
  for (const name of listed.modules ?? []) await import(name); // what a server adds to this page
}

open();
