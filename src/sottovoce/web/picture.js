// Two spectrograms that move as the sound does: what comes in, and what leaves.

const COLUMNS_PER_S = 60;
const INK = { entering: [120, 190, 255], left: [255, 190, 80] };

export function drawing(context, input, output, gate) {
  const pictures = [picture("entering", context, input, output), picture("left", context, gate, 0)];
  let drawn = context.currentTime;
  let frame = requestAnimationFrame(step);

  function step() {
    const columns = Math.floor((context.currentTime - drawn) * COLUMNS_PER_S);
    if (columns > 0) {
      drawn += columns / COLUMNS_PER_S;
      pictures.forEach((draw) => draw(columns));
    }
    frame = requestAnimationFrame(step);
  }
  const resume = () => (drawn = context.currentTime); // nothing was drawn while the tab was hidden
  return { stop: () => cancelAnimationFrame(frame), resume };
}

function picture(id, context, node, output) {
  const canvas = document.getElementById(id);
  const paper = canvas.getContext("2d");
  const analyser = new AnalyserNode(context, {
    fftSize: 2 * canvas.height,
    smoothingTimeConstant: 0,
    minDecibels: -95,
    maxDecibels: -25,
  });
  node.connect(analyser, output);
  const levels = new Uint8Array(canvas.height);
  const column = new ImageData(1, canvas.height);
  paper.fillStyle = "#000";
  paper.fillRect(0, 0, canvas.width, canvas.height);

  return (columns) => {
    analyser.getByteFrequencyData(levels);
    levels.forEach((level, bin) => {
      const at = 4 * (canvas.height - 1 - bin);
      const ink = INK[id].map((part) => (part * level) / 255);
      column.data.set([...ink, 255], at);
    });
    paper.drawImage(canvas, -columns, 0);
    for (let x = 1; x <= columns; x++) paper.putImageData(column, canvas.width - x, 0);
  };
}
