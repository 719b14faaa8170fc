/** What a part is given: sizes, and things that are always stopped again. */
import { Postfix } from "./postfix.mjs";
import { Site } from "./site.mjs";
import { startNodeSink, startSink } from "./smtp.mjs";

export class Rig {
  #open = new Set();

  /** `tiny`: everything runs, nothing is measured well. `all`: the long ends too. */
  constructor(report, { tiny = false, all = false } = {}) {
    this.report = report;
    this.tiny = tiny;
    this.all = all;
  }

  /** That many, or a handful when everything is only to run once. */
  size(count, tiny = 20) {
    return this.tiny ? Math.min(count, tiny) : count;
  }

  /** Of sizes in growing order: all with --all, those up to `usual` otherwise, the first two when tiny. */
  sizes(list, usual = Number.POSITIVE_INFINITY) {
    if (this.tiny) return list.slice(0, 2);
    return this.all ? list : list.filter((size) => size <= usual);
  }

  /** Run `work` with something that has `stop()`, and stop it. */
  async using(thing, work) {
    this.#open.add(thing);
    try {
      return await work(thing);
    } finally {
      this.#open.delete(thing);
      await thing.stop();
    }
  }

  /** Stop what runs: the bench itself is asked to end. */
  async stop() {
    for (const thing of this.#open) await thing.stop();
  }

  /** Start a site with these control files, run `work`, remove it. */
  site(control, work, options) {
    return this.using(new Site(control, options), async (site) => {
      await site.start();
      return work(site);
    });
  }

  /** A list server that sends everything to a sink, and has sent something. */
  async listSite(work, { control = {}, sink } = {}) {
    if (!sink) return this.withSink((own) => this.listSite(work, { control, sink: own }));
    const routed = { smtproutes: `:127.0.0.1:${sink.port}`, ...control };
    return this.site(routed, async (site) => {
      await site.warmUp();
      return work(site, sink);
    });
  }

  /** smtp-sink, or with `options` the one of sink.mjs. */
  async withSink(work, options) {
    return this.using(options ? await startNodeSink(options) : await startSink(), work);
  }

  /** The same work of Debian's Postfix; undefined where there is none. */
  async postfix(settings, work) {
    const postfix = await Postfix.start(settings);
    return postfix && this.using(postfix, work);
  }
}
