// Charts: uPlot for those with axes, a few strokes for the small ones, and squares for heat. Colours are the style's, so
// that they follow light and dark. Must never know what is counted.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Hours, minutes and seconds of an instant, in seconds after 1970. */
const clock = (at) => new Date(at * 1000).toTimeString().slice(0, 8);

/** A chart over time that is drawn anew with `update(times, ...series)`. */
export class Chart {
  #place;
  #labels;
  #format;
  #plot;
  #theme;
  #colours = ["mark", "second", "third", "bad"];

  constructor(place, labels, format) {
    [this.#place, this.#labels, this.#format] = [place, labels, format];
  }

  update(times, ...series) {
    const width = this.#place.clientWidth;
    // Who is not seen need not be drawn.
    if (width === 0 || times.length < 2) return;
    const theme = colour("ink");
    if (this.#plot === undefined || theme !== this.#theme) this.#begin(width, [times, ...series]);
    else {
      if (this.#plot.width !== width) this.#plot.setSize({ width, height: this.#plot.height });
      this.#plot.setData([times, ...series]);
    }
    this.#theme = theme;
  }

  #begin(width, data) {
    this.#plot?.destroy();
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
    const value = (_, raw) => (raw === null || raw === undefined ? "–" : this.#format(raw));
    const lines = this.#labels.map((label, index) => ({
      label, value, stroke: colour(this.#colours[index]), width: 1.5, points: { show: false },
    }));
    const options = {
      width, height: 150, series: [{ label: "at", value: (_, at) => (at ? clock(at) : "–") }, ...lines], cursor: { points: { show: false } },
      axes: [{ ...axis, size: 28, space: 90, values: (_, marks) => marks.map(clock) }, { ...axis, size: 62, values: (_, marks) => marks.map(this.#format) }],
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1] } },
      legend: { live: true },
    };
    this.#plot = new uPlot(options, data, this.#place);
  }
}

/** A small line without axes. */
export function spark(canvas, values) {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [80 * scale, 20 * scale];
  [canvas.width, canvas.height] = [width, height];
  const most = Math.max(...values, 0);
  if (values.length < 2 || most === 0) return;
  const pen = canvas.getContext("2d");
  pen.strokeStyle = colour("mark");
  pen.lineWidth = 1.3 * scale;
  pen.beginPath();
  values.forEach((value, index) => {
    const x = (index / (values.length - 1)) * width;
    pen.lineTo(x, height - scale - (value / most) * (height - 2 * scale));
  });
  pen.stroke();
}

/** For so many columns there is room from the beginning. */
const FEWEST = 40;

/** Columns of counts, the more the stronger; `rows` are the names of what is counted, from below. */
export function heat(canvas, columns, rows, most) {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  if (width === 0) return;
  [canvas.width, canvas.height] = [width, height];
  const pen = canvas.getContext("2d");
  const names = 70 * scale;
  const tall = height / Math.max(1, rows.length);
  const wide = (width - names) / Math.min(most, Math.max(FEWEST, columns.length));
  const tone = colour("heat");
  pen.font = `${11 * scale}px sans-serif`;
  pen.textBaseline = "middle";
  rows.forEach((name, row) => {
    pen.fillStyle = colour("quiet");
    pen.fillText(name, 6 * scale, height - (row + 0.5) * tall);
  });
  const highest = Math.max(1, ...columns.flat());
  columns.forEach((counts, column) => {
    const x = width - (columns.length - column) * wide;
    counts.forEach((count, row) => {
      if (count === 0) return;
      pen.fillStyle = `rgba(${tone}, ${0.15 + 0.85 * Math.sqrt(count / highest)})`;
      pen.fillRect(x, height - (row + 1) * tall, Math.ceil(wide), Math.ceil(tall) - 1);
    });
  });
}
