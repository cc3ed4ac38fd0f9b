// Microphones: the one that was chosen, as it is, without what browsers do to a voice.

const RATE = 16000;
const REASONS = {
  NotAllowedError: "The microphone was not permitted; permit it for this page in the browser, and press Start again.",
  NotFoundError: "There is no microphone; plug one in, or choose the example or a file.",
  OverconstrainedError: "That microphone is gone; choose another one.",
  NotReadableError: "The microphone cannot be opened; another program may be using it.",
};

export async function openMicrophone(context, deviceId) {
  if (!navigator.mediaDevices) throw new Error("This browser gives this page no microphone; choose the example or a file.");
  const plain = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const audio = deviceId ? { ...plain, deviceId: { exact: deviceId } } : plain;
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The microphone cannot be used (${error.message}).`);
  }
  const [track] = stream.getAudioTracks();
  const close = () => track.stop();
  try {
    const node = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
    return { node, track, name: track.label, close };
  } catch {
    close();
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
