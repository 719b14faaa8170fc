/** Preloaded by tests: the wall clock is a year ahead until SIGUSR2 puts it right. */
let aheadMs = 365 * 86_400_000;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  static now() {
    return RealDate.now() + aheadMs;
  }

  constructor(...parts) {
    if (parts.length > 0) super(...parts);
    else super(RealDate.now() + aheadMs);
  }
};
process.on("SIGUSR2", () => {
  aheadMs = 0;
});
