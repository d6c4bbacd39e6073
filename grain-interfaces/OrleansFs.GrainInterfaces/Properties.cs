using Orleans;
using OrleansFs.Model;

// The types of OrleansFs.Model carry Orleans' attributes but refer to no Orleans runtime: their serializers are generated here.
[assembly: GenerateCodeForDeclaringAssembly(typeof(InodeNumber))]
