// The live camera: one answer after another to what it sees, as fast as they come.
const REASONS = {
  NotAllowedError: "it was not allowed; the browser's settings for this page can allow it",
  NotFoundError: "this device has none",
  NotReadableError: "another program uses it",
};

export class Camera {
  #video;
  #ask;
  #show;
  #fail;
  #stream = null;
  #wanted = 0; // counts starts and stops: a start that another of them overtakes gives its stream back
  #facing = "environment";

  // `ask.answer(bitmap)` promises an answer and frees the bitmap; `ask.pause` milliseconds pass from one to the
  // next at least. `show(answer)` is given each, `fail(error)` why there are no more.
  constructor(video, ask, show, fail) {
    this.#video = video;
    this.#ask = ask;
    this.#show = show;
    this.#fail = fail;
  }

  get isOn() {
    return this.#stream !== null;
  }

  // Rejects with the reason where it cannot be used. It is off all the same where `stop` was called meanwhile.
  async start() {
    if (!navigator.mediaDevices) throw new Error("browsers allow it only under https or on localhost");
    const video = { facingMode: this.#facing, width: { ideal: 640 }, height: { ideal: 480 } };
    const number = ++this.#wanted;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video });
      if (number !== this.#wanted) return end(stream);
      this.#stream = this.#video.srcObject = stream;
      await this.#video.play();
    } catch (error) {
      if (number !== this.#wanted) return;
      this.stop();
      throw new Error(REASONS[error.name] ?? error.message);
    }
    if (number !== this.#wanted) return;
    stream.getVideoTracks()[0].addEventListener("ended", () => this.#fail(new Error("it was taken away")));
    this.#look(stream).catch((error) => this.#stream === stream && this.#fail(error));
  }

  stop() {
    this.#wanted++;
    end(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
  }

  // Takes the camera on the other side.
  async turn() {
    this.stop();
    this.#facing = this.#facing === "environment" ? "user" : "environment";
    await this.start();
  }

  // What it sees now.
  picture() {
    return createImageBitmap(this.#video);
  }

  async #look(stream) {
    while (this.#stream === stream) {
      const next = new Promise((resolve) => setTimeout(resolve, this.#ask.pause));
      if (!document.hidden && this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
        const result = await this.#ask.answer(await this.picture());
        if (this.#stream === stream) this.#show(result);
      }
      await next;
    }
  }
}

function end(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
