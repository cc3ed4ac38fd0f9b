// Where sound comes from: files, which are read at 16 kHz in pieces, and microphones. A WAV file of one channel at 16 kHz
// is read as it is needed, whatever its length; any other file is decoded and resampled by the browser as a whole.

const RATE = 16000;
const LONGEST_S = 900; // of a file that is decoded as a whole
const LARGEST_HEAD = 1 << 16; // bytes before the samples of a WAV file

// `length` in samples, and `read(from, count)`, which gives samples of one channel.
export async function openSound(file) {
  return (await openWav(file)) ?? decoded(file);
}

async function bytesOf(blob, name) {
  return blob.arrayBuffer().catch(() => {
    throw new Error(`${name} cannot be read any more; choose the sound file again.`);
  });
}

async function openWav(file) {
  const head = new DataView(await bytesOf(file.slice(0, LARGEST_HEAD), file.name));
  const name = (at) => String.fromCharCode(...new Uint8Array(head.buffer, at, 4));
  if (head.byteLength < 44 || name(0) !== "RIFF" || name(8) !== "WAVE") return null;
  let form = null;
  for (let at = 12; at + 8 <= head.byteLength; ) {
    const size = head.getUint32(at + 4, true);
    if (name(at) === "fmt " && at + 24 <= head.byteLength) {
      const field = (offset) => head.getUint16(at + 8 + offset, true);
      form = { kind: field(0), channels: field(2), rate: head.getUint32(at + 12, true), bits: field(14) };
    }
    if (name(at) === "data") return form && wavReader(file, form, at + 8, Math.min(size, file.size - at - 8));
    at += 8 + size + (size % 2);
  }
  return null;
}

function wavReader(file, { kind, channels, rate, bits }, start, bytes) {
  const isFloat = kind === 3 && bits === 32;
  if (rate !== RATE || channels !== 1 || !(isFloat || (kind === 1 && bits === 16))) return null;
  const frame = bits / 8;
  const read = async (from, count) => {
    const end = Math.min(length, from + count);
    const part = await bytesOf(file.slice(start + from * frame, start + end * frame), file.name);
    return isFloat ? new Float32Array(part) : Float32Array.from(new Int16Array(part), (value) => value / 32768);
  };
  const length = Math.floor(bytes / frame);
  if (!length) throw new Error(`${file.name} holds no samples; choose another file.`);
  return { name: file.name, length, read };
}

async function decoded(file) {
  if (!file.size) throw new Error(`${file.name} is empty; choose a sound file.`);
  const seconds = await duration(file);
  if (seconds > LONGEST_S)
    throw new Error(
      `${file.name} lasts ${Math.round(seconds / 60)} minutes, and a file of this kind may last ${LONGEST_S / 60}; ` +
        "convert it to a WAV file of one channel at 16 kHz, which may be of any length.",
    );
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} is not a sound file that this browser can read; choose another file.`);
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, at) => buffer.getChannelData(at));
  const read = async (from, count) =>
    Float32Array.from({ length: Math.max(0, Math.min(count, buffer.length - from)) }, (_, at) =>
      channels.reduce((sum, channel) => sum + channel[from + at] / channels.length, 0),
    );
  return { name: file.name, length: buffer.length, read };
}

// Seconds, or 0 where the browser cannot tell before it has decoded the file.
function duration(file) {
  const player = new Audio();
  const address = URL.createObjectURL(file);
  return new Promise((resolve) => {
    player.onloadedmetadata = () => resolve(Number.isFinite(player.duration) ? player.duration : 0);
    player.onerror = () => resolve(0);
    player.src = address;
  }).finally(() => URL.revokeObjectURL(address));
}

// Samples that are in memory, as `openSound` gives them.
export function fromSamples(samples, name, about) {
  return { name, about, length: samples.length, read: async (from, count) => samples.slice(from, from + count) };
}

// A WAV file of 32-bit floating-point samples, so that nothing of them is lost; `pieces` are blobs of them.
export function wavFile(pieces) {
  const bytes = pieces.reduce((sum, piece) => sum + piece.size, 0);
  const head = new DataView(new ArrayBuffer(44));
  const put = (at, value, size = 4) => head[`setUint${8 * size}`](at, value, true);
  const names = "RIFF....WAVEfmt ".padEnd(36, ".") + "data";
  [...names].forEach((letter, at) => put(at, letter.charCodeAt(0), 1));
  [[4, 36 + bytes], [16, 16], [24, RATE], [28, 4 * RATE], [40, bytes]].forEach(([at, value]) => put(at, value));
  [[20, 3], [22, 1], [32, 4], [34, 32]].forEach(([at, value]) => put(at, value, 2)); // floats, one channel
  return new Blob([head, ...pieces], { type: "audio/wav" });
}

const REASONS = {
  NotAllowedError: "The microphone was not permitted; permit it for this page in the browser, and press Start again.",
  NotFoundError: "There is no microphone; plug one in, or choose the example or a file.",
  OverconstrainedError: "That microphone is gone; choose another one.",
  NotReadableError: "The microphone cannot be opened; another program may be using it.",
};

// A microphone as it is, without what browsers do to a voice.
export async function openMicrophone(context, deviceId) {
  if (!navigator.mediaDevices) throw new Error("This browser has no microphone for this page; choose the example or a file.");
  const plain = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const audio = deviceId ? { ...plain, deviceId: { exact: deviceId } } : plain;
  const mediaStream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
    throw new Error(REASONS[error.name] ?? `The microphone cannot be used (${error.message}).`);
  });
  const [track] = mediaStream.getAudioTracks();
  try {
    return { track, name: track.label, node: new MediaStreamAudioSourceNode(context, { mediaStream }) };
  } catch {
    track.stop();
    throw new Error(`This browser cannot bring that microphone to ${RATE} Hz; set it to ${RATE} Hz, or choose a file.`);
  }
}

// The names of microphones are known once one of them was permitted.
export async function listMicrophones(select) {
  const devices = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "audioinput");
  const chosen = select.value;
  select.replaceChildren(new Option("Standard", ""), ...devices.map(({ label, deviceId }) => new Option(label, deviceId)));
  select.value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}
