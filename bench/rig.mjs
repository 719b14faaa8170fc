/** What a part is given: sizes, and things that are always stopped again. */
import { Postfix } from "./postfix.mjs";
import { Site } from "./site.mjs";
import { startNodeSink, startSink } from "./smtp.mjs";

export class Rig {
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

  /** Start a site with these control files, run `work`, remove it. */
  async site(control, work, assign) {
    const site = new Site(control, assign);
    try {
      await site.start();
      return await work(site);
    } finally {
      await site.stop();
    }
  }

  /** A list server that sends everything to a sink; `sink` is one of startSink or startNodeSink. */
  async listSite(work, { control = {}, sink } = {}) {
    const peer = sink ?? (await startSink());
    try {
      return await this.site(
        { smtproutes: `:127.0.0.1:${peer.port}`, ...control },
        async (site) => {
          await site.warmUp();
          return work(site, peer);
        },
      );
    } finally {
      peer.stop();
    }
  }

  /** The same work of Debian's Postfix; undefined where there is none. */
  async postfix(settings, work) {
    const postfix = await Postfix.start(settings);
    if (!postfix) return undefined;
    try {
      return await work(postfix);
    } finally {
      await postfix.stop();
    }
  }

  async withSink(work, options) {
    const sink = options ? await startNodeSink(options) : await startSink();
    try {
      return await work(sink);
    } finally {
      sink.stop();
    }
  }
}
