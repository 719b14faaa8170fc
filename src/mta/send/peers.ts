/** Who may connect: capabilities that qmail-start or qmail-lspawn announced, and what they stand for. */
import { CAPABILITY_BYTES, type Role } from "../channel/protocol.ts";

export interface Standing {
  readonly role: Role;
  readonly uid: number;
}

export class Capabilities {
  private readonly known = new Map<string, Standing>();

  announce(capability: Buffer, standing: Standing): void {
    if (capability.length !== CAPABILITY_BYTES) return;
    this.known.set(capability.toString("hex"), standing);
  }

  withdraw(capability: Buffer): void {
    this.known.delete(capability.toString("hex"));
  }

  /** 32 random bytes cannot be guessed, so a map look-up tells an attacker nothing. */
  find(capability: Buffer): Standing | undefined {
    return this.known.get(capability.toString("hex"));
  }
}
