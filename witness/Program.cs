// tlog-witness: a witness of transparency logs (c2sp.org/tlog-witness). The command line is in Commands.cs and ClockCommand.cs, and the handling of a
// checkpoint in CheckpointWitness.cs.
//
//     tlog-witness create --data DIR --name NAME [--no-ml-dsa]
//     tlog-witness clock accept --data DIR --reason TEXT [--origin NAME ...]
//     tlog-witness serve  --data DIR --logs FILE|URL [--logs ...] [--listen URL] [--guard DIR] [--config FILE]
//     tlog-witness guard  replace --data DIR --guard DIR --reason TEXT | drop --data DIR --reason TEXT

using System.CommandLine;
using TransparencyLog.Witness;

RootCommand root = new("A witness of transparency logs (c2sp.org/tlog-witness): cosigns checkpoints that are consistent with all it has seen.")
{
    Commands.Create(),
    Commands.Serve(),
    ClockCommand.Create(),
    Commands.GuardCommand(),
};

return await Commands.RunAsync(root, args);
