import { expect, test } from "vitest";
import { Router } from "../../../src/mta/send/route.ts";

const tables = {
  envnoathost: "noat.test",
  locals: ["local.test"],
  percenthack: ["relay.test"],
  virtualdomains: [
    ["virt.test", "joe"],
    [".sub.test", "wild"],
    ["one@far.test", "only"],
    ["two@virt.test", ""],
    ["not.sub.test", ""],
    ["local.test", "never"],
  ] as [string, string][],
  smtproutes: [
    ["routed.test", "hub.test:2525"],
    [".dom.test", "Hub.test:2525"],
    ["direct.dom.test", ""],
  ] as [string, string][],
};
const router = new Router(tables);

test.each([
  ["Joe@LOCAL.test", "local", "Joe@LOCAL.test", "Ljoe@local.test"],
  ["joe-list-1@local.test", "local", "joe-list-1@local.test", "Ljoe@local.test"],
  ["plain", "remote", "plain@noat.test", "Rnoat.test"],
  ["a%b@relay.test", "remote", "a@b", "Rb"],
  ["x%local.test%relay.test@Relay.test", "local", "x@local.test", "Lx@local.test"],
  ["any@Virt.test", "local", "joe-any@Virt.test", "Ljoe@virt.test"],
  ["two@virt.test", "remote", "two@virt.test", "Rvirt.test"],
  ["u@a.sub.test", "local", "wild-u@a.sub.test", "Lwild@a.sub.test"],
  ["u@sub.test", "remote", "u@sub.test", "Rsub.test"],
  ["u@not.sub.test", "remote", "u@not.sub.test", "Rnot.sub.test"],
  ["ONE@far.test", "local", "only-ONE@far.test", "Lonly@far.test"],
  ["other@far.test", "remote", "other@far.test", "Rfar.test"],
  ["u@routed.test", "remote", "u@routed.test", "Rhub.test:2525"],
  ["u@x.dom.test", "remote", "u@x.dom.test", "Rhub.test:2525"],
  ["u@direct.dom.test", "remote", "u@direct.dom.test", "Rdirect.dom.test"],
  ["a@b@virt.test", "local", "joe-a@b@virt.test", "Ljoe@virt.test"],
])("route() sends %s to %s as %s", (address, channel, routed, site) => {
  expect(router.route(address)).toEqual({ channel, routed, site });
});

test("route() sends everything unknown to the catch-all of virtualdomains", () => {
  const all = new Router({ ...tables, virtualdomains: [["", "all"]] });
  expect(all.route("u@far.test").routed).toBe("all-u@far.test");
  expect(all.route("u@local.test").routed).toBe("u@local.test");
});

test.each([
  ["joe-any@virt.test", "any@virt.test"],
  ["wild-u@a.sub.test", "u@a.sub.test"],
  ["only-one@far.test", "one@far.test"],
  ["joe-any@local.test", "joe-any@local.test"],
  ["plain@far.test", "plain@far.test"],
])("unroute() shows %s as %s", (routed, shown) => {
  expect(router.unroute(routed)).toBe(shown);
});
