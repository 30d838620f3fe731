using TransparencyLog;
using TransparencyLog.Client;

byte[] entry = File.ReadAllBytes("README.md");
if (!Policy.TryParse(File.ReadAllBytes("tour/first.policy"), out Policy? policy, out string error)) throw new InvalidDataException(error);
using LogReader log = new(args.FirstOrDefault() ?? "http://127.0.0.1:2025");
AddAnswer added = await log.AddAsync(entry, AddWait.Published, CancellationToken.None);
if (added.Proof is null) throw new TimeoutException($"entry {added.Index} is stored, but no public checkpoint covers it yet");
bool holds = ProofVerifier.TryVerify(entry, added.Proof, policy, out VerifiedCheckpoint? verified, out string reason);
Console.WriteLine(holds ? $"index {added.Index}, size {verified!.Checkpoint.Size}, origin {verified.Checkpoint.Origin}" : reason);
