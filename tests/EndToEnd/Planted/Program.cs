// tlog-server with one bug: its journal answers before it has written anything, and never tells that a write has failed. The sweep has to
// find it, or it would not find it in the real one.

using TransparencyLog.Server;
using TransparencyLog.Storage;
using TransparencyLog.Tests.EndToEnd.Planted;

return await Commands.RunAsync(args, new EngineSeams(Replace: parts => parts with { Journal = new EarlyJournal(parts.Journal) }));
