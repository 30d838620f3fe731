// A pass over compiled code (Mono.Cecil): behind each conditional branch a counter for each of its ways, and one at the beginning of each method and
// handler. So an edge has a number of its own, and none is mistaken for another.
//
//     brtrue T           brtrue taken
//     next:              count 7; br next
//                 taken: count 8; br T
//                 next:
//
// The counters stand right behind their branch and so inside its try block; the compiler behind us lays the jumps out again.
// The constants of a method, texts and magic numbers, become words for the mutator once the method has been reached.

using System.Buffers.Binary;
using System.Text;
using Mono.Cecil;
using Mono.Cecil.Cil;
using Mono.Cecil.Rocks;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Instruments assemblies; numbers their edges in one row.</summary>
internal sealed class Instrumenter
{
    /// <summary>Longer texts in code are messages for people.</summary>
    private const int MaxWord = 32;

    private readonly List<string> _edges = [];
    private readonly List<(int Edge, byte[] Word)> _words = [];

    /// <summary>The outermost type that each edge is in, by its full name.</summary>
    public IReadOnlyList<string> Edges => _edges;

    /// <summary>What stands in the code as a constant, with the first edge of its method.</summary>
    public IReadOnlyList<(int Edge, byte[] Word)> Words => _words;

    /// <summary>A copy of the assembly in which the types that are wanted count their edges.</summary>
    public byte[] Instrument(string path, Func<string, bool> wanted)
    {
        using AssemblyDefinition assembly = AssemblyDefinition.ReadAssembly(path);
        ModuleDefinition module = assembly.MainModule;
        FieldReference map = module.ImportReference(typeof(Coverage).GetField(nameof(Coverage.Map)));
        if (map.DeclaringType.Scope.Name == module.Assembly.Name.Name) map = module.GetType(typeof(Coverage).FullName!).Fields.Single(field => field.Name == nameof(Coverage.Map));
        foreach (TypeDefinition type in module.GetTypes())
        {
            TypeDefinition outermost = type;
            while (outermost.DeclaringType is TypeDefinition outer) outermost = outer;
            if (outermost.Name.StartsWith('<') || outermost.FullName == typeof(Coverage).FullName || !wanted(outermost.FullName)) continue;
            foreach (MethodDefinition method in type.Methods.Where(method => method.HasBody)) Instrument(method, outermost.FullName, map);
        }

        if (_edges.Count > Coverage.Size) throw new InvalidOperationException($"more than {Coverage.Size} edges");
        using MemoryStream written = new();
        assembly.Write(written);
        return written.ToArray();
    }

    private void Instrument(MethodDefinition method, string type, FieldReference map)
    {
        MethodBody body = method.Body;
        Collect(body);
        body.SimplifyMacros();
        ILProcessor il = body.GetILProcessor();
        List<Instruction> entry = Count(il, type, map);
        Instruction[] original = [.. body.Instructions];
        HashSet<Instruction> handlers = [.. body.ExceptionHandlers.Select(handler => handler.HandlerStart)];
        foreach (Instruction instruction in original)
        {
            // The value on the stack of a handler is what it begins with: its counter stands behind that.
            if (handlers.Contains(instruction)) InsertAfter(il, instruction, Count(il, type, map));
            if (instruction.OpCode.FlowControl != FlowControl.Cond_Branch) continue;
            Instruction next = instruction.Next;
            List<Instruction> inserted = [.. Count(il, type, map), il.Create(OpCodes.Br, next)];
            if (instruction.Operand is Instruction[] targets)
            {
                Dictionary<Instruction, Instruction> ways = [];
                instruction.Operand = Array.ConvertAll(targets, target => ways.TryGetValue(target, out Instruction? way) ? way : ways[target] = Way(target));
            }
            else
            {
                instruction.Operand = Way((Instruction)instruction.Operand);
            }

            InsertAfter(il, instruction, inserted);

            Instruction Way(Instruction target)
            {
                List<Instruction> count = Count(il, type, map);
                inserted.AddRange(count);
                inserted.Add(il.Create(OpCodes.Br, target));
                return count[0];
            }
        }

        Instruction first = body.Instructions[0];
        foreach (Instruction one in entry) il.InsertBefore(first, one);
        body.OptimizeMacros();
    }

    private static void InsertAfter(ILProcessor il, Instruction at, IEnumerable<Instruction> inserted)
    {
        foreach (Instruction one in inserted)
        {
            il.InsertAfter(at, one);
            at = one;
        }
    }

    private List<Instruction> Count(ILProcessor il, string type, FieldReference map)
    {
        _edges.Add(type);
        return
        [
            il.Create(OpCodes.Ldsfld, map),
            il.Create(OpCodes.Ldc_I4, _edges.Count - 1),
            il.Create(OpCodes.Add),
            il.Create(OpCodes.Dup),
            il.Create(OpCodes.Ldind_U1),
            il.Create(OpCodes.Ldc_I4_1),
            il.Create(OpCodes.Add),
            il.Create(OpCodes.Conv_U1),
            il.Create(OpCodes.Stind_I1),
        ];
    }

    private void Collect(MethodBody body)
    {
        foreach (Instruction instruction in body.Instructions)
        {
            switch (instruction.Operand)
            {
                case string text:
                    Add(Encoding.UTF8.GetBytes(text));
                    break;

                // A u8 literal: the address of its bytes, then their number.
                case FieldReference field when instruction.OpCode == OpCodes.Ldsflda && field.Resolve() is { InitialValue: { Length: > 0 } value } && LengthOf(instruction.Next) is int length && length <= value.Length:
                    Add(value[..length]);
                    break;
                case int number when number is > 255 or < 0:
                    byte[] four = new byte[4];
                    BinaryPrimitives.WriteInt32BigEndian(four, number);
                    Add(four);
                    break;
                case long number:
                    byte[] eight = new byte[8];
                    BinaryPrimitives.WriteInt64BigEndian(eight, number);
                    Add(eight);
                    break;
            }
        }

        void Add(byte[] word)
        {
            if (word.Length is > 0 and <= MaxWord) _words.Add((_edges.Count, word));
        }
    }

    private static int? LengthOf(Instruction? next)
    {
        if (next is null) return null;
        if (next.OpCode.Code is >= Code.Ldc_I4_0 and <= Code.Ldc_I4_8) return next.OpCode.Code - Code.Ldc_I4_0;
        return next.Operand switch { int number => number, sbyte number => number, _ => null };
    }
}
